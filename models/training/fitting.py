"""Rows to a model with out-of-fold rows: by the recipe where past weeks can be lived again, else by a plain split in time."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from features.errors import UserError
from models.evaluation.metrics import has_both_classes
from models.learners.trained import OutOfFold, Trained
from models.training import plain_split
from models.training.plain_split import train
from models.training.prequential import folds, span_known
from models.training.recipe import PARAMETERS, Recipe, TreeCache, make
from models.training_set.rows import TrainingSet

Parameters = Mapping[str, str | float | int]

# Two to choose by and one to judge the choice of thresholds, with a label delay between.
WEEKS = 3


# Of fewer nothing can be learnt, and nothing chosen, that isn't chance.
FEWEST_FRAUDS = 10


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
    rows: TrainingSet,
    names: tuple[str, ...],
    histories: tuple[int, ...],
    labels_after: int,
    seed: int = 0,
    threads: int = 1,
    immature: TrainingSet | None = None,
    parameters: Parameters | None = None,
) -> Fitted:
    """The model that serves once the labels of the rows (in time order) are known, ``labels_after`` ms after them.

    ``histories`` are lengths in days to choose from; without any, or where no week can be lived again for too few days or frauds, all
    rows are learnt from. ``immature`` rows, younger and weighted, only add to what the final model learns from. ``parameters`` are
    XGBoost's, instead of the settled ones. Raises UserError if the rows are of one class.
    """
    first, as_of = span_known(rows.event_time, labels_after)
    made = None
    # Else the plain split says itself what it can't learn from.
    if histories and has_both_classes(rows.is_fraud) and folds(first, as_of, labels_after, most=1):
        learnt = rows if immature is None else rows.followed_by(immature)
        grown = TreeCache(
            learnt, names, Recipe(histories=histories, weeks=WEEKS, parameters=parameters or PARAMETERS), seed=seed, threads=threads
        )
        with contextlib.suppress(UserError):
            made = make(grown, as_of, labels_after, int(learnt.event_time.max()) + 1)
    if made is None:
        plain = parameters or plain_split.PLAIN_PARAMETERS
        return Fitted(train(rows, names, seed=seed, threads=threads, immature=immature, parameters=plain), None)
    found = OutOfFold(rows.take(made.out_of_fold.rows), made.out_of_fold.probability)
    tried = {f"{'+'.join(map(str, choice.days))} days, {choice.rounds} rounds": choice.average_precision for choice in made.compared}
    return Fitted(replace(made.trained, out_of_fold=found), HistoryChoice(made.choice.days, tried))


def require_enough_frauds(rows: TrainingSet) -> None:
    """Raises UserError if there are some frauds, but too few; rows of one class are refused by whoever fits them."""
    if 0 < rows.frauds < FEWEST_FRAUDS:
        raise UserError(
            f"only {rows.frauds} of the {len(rows.is_fraud):,} transactions to learn from are frauds, too few to learn from and to judge "
            f"by; widen --from and --to until there are at least {FEWEST_FRAUDS}"
        )
