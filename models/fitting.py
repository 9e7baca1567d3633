"""Rows to a model with out-of-fold rows: by the recipe where past weeks can be lived again, else by a plain split in time."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from features.errors import UserError
from models.prequential import folds
from models.recipe import Grown, Recipe, make
from models.training import OutOfFold, Trained, train
from models.training_set import TrainingSet

# Two to choose by and one to judge the choice of thresholds, with a label delay between.
WEEKS = 3


@dataclass(frozen=True)
class HistoryChoice:
    """The ``days`` of history whose models are averaged, and ``tried``: the mean average precision (0–1) of each choice there was."""

    days: tuple[int, ...]
    tried: Mapping[str, float]


@dataclass(frozen=True)
class Fitted:
    """A model with its out-of-fold rows; ``choice`` is None where the rows were too few days for one, and all were learnt from."""

    trained: Trained
    choice: HistoryChoice | None


def fit(
    rows: TrainingSet, names: tuple[str, ...], histories: tuple[int, ...], labels_after: int, seed: int = 0, threads: int = 1
) -> Fitted:
    """The model that serves once the labels of the rows (in time order) are known, ``labels_after`` ms after them.

    ``histories`` are lengths in days to choose from; without any, or where no week can be lived again for too few days or frauds, all
    rows are learnt from. Raises UserError if the rows are of one class.
    """
    as_of = int(rows.event_time.max(initial=0)) + 1 + labels_after
    first = int(rows.event_time.min(initial=as_of))
    made = None
    # Else the plain split says itself what it can't learn from.
    if histories and 0 < rows.frauds < len(rows.is_fraud) and folds(first, as_of, labels_after, most=1):
        grown = Grown(rows, names, Recipe(histories=histories, weeks=WEEKS), seed=seed, threads=threads)
        with contextlib.suppress(UserError):
            made = make(grown, as_of, labels_after)
    if made is None:
        return Fitted(train(rows, names, seed=seed, threads=threads), None)
    found = OutOfFold(rows.take(made.out_of_fold.rows), made.out_of_fold.probability)
    tried = {f"{'+'.join(map(str, choice.days))} days, {choice.rounds} rounds": choice.average_precision for choice in made.compared}
    return Fitted(replace(made.trained, out_of_fold=found), HistoryChoice(made.choice.days, tried))
