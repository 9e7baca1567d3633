"""The baselines judged as the trees are: on the same weeks, by the same thresholds and figures, so that runs can be compared.

Nothing of them is kept but figures: scikit-learn's models can only be pickled, and a pickle is code that runs when it is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from features.arrays import Int64
from features.definitions import DAY
from models.learners.baselines import FittedBaseline, LogisticRegressionLearner, RandomForestLearner
from models.learners.calibration import Platt
from models.learners.learner import Learner
from models.learners.parameters import Parameters
from models.learners.trained import OutOfFold
from models.training.fitting import WEEKS
from models.training.plain_split import VALIDATION_SHARE, require_both_parts
from models.training.prequential import Fold, folds, span_known
from models.training_set.rows import TrainingSet
from models.training_set.splits import validation_begin
from models.training_set.thinning import thin

BaselineName = Literal["logistic_regression", "random_forest"]
# Of the legitimate rows every so-many-th is learnt from; a forest, which takes longest, sees fewer.
_THINNING: Mapping[BaselineName, int] = {"logistic_regression": 3, "random_forest": 10}


@dataclass(frozen=True)
class Baseline:
    """A baseline's out-of-fold rows, calibrated, what made it, and each feature's importance (share, 0–1) to it."""

    name: BaselineName
    out_of_fold: OutOfFold
    parameters: Parameters
    importance: Mapping[str, float]


def fit_baseline(
    name: BaselineName,
    rows: TrainingSet,
    names: tuple[str, ...],
    histories: tuple[int, ...],
    labels_after: int,
    seed: int = 0,
) -> Baseline:
    """Fitted on the longest of ``histories`` (days; without any, all there is) before each of the newest weeks of the rows (in time order).

    Where no week can be replayed, the latest quarter is scored by what is older. Raises UserError if a part is of one class.
    """
    learner, parameters = _learner(name, seed)
    parts = _parts(rows, histories, labels_after)
    scored, log_odds = [], []
    for known, tried in parts:
        require_both_parts(rows, rows.take(known), rows.take(tried))
        fitted = learner.fit(thin(rows.take(known), _THINNING[name], seed))
        log_odds.append(fitted.log_odds(rows.vectors[tried]))
        scored.append(tried)
    numbers, odds = np.concatenate(scored), np.concatenate(log_odds)
    found = rows.take(numbers)
    probability = Platt.fit(odds, found.is_fraud, found.weight).probability(odds)
    assert isinstance(fitted, FittedBaseline)
    return Baseline(
        name,
        OutOfFold(found, probability),
        {**parameters, "thinning": _THINNING[name], "seed": seed, "validation_parts": len(parts)},
        dict(zip(names, fitted.importance(len(names)).tolist(), strict=True)),
    )


def _learner(name: BaselineName, seed: int) -> tuple[Learner, Parameters]:
    if name == "logistic_regression":
        return LogisticRegressionLearner(), {"regularisation": LogisticRegressionLearner.regularisation}
    forest = RandomForestLearner(seed=seed)
    return forest, {"trees": forest.trees, "least_in_leaf": forest.least_in_leaf, "most_rows": forest.most_rows}


def _parts(rows: TrainingSet, histories: tuple[int, ...], labels_after: int) -> list[tuple[Int64, Int64]]:
    """The numbers of the rows to learn from and of those to score, oldest first."""
    time = rows.event_time
    first, as_of = span_known(time, labels_after)
    if histories:
        history = max(histories) * DAY
        weeks = folds(first, as_of, labels_after, most=WEEKS)
        usable = [fold for fold in weeks if fold.has_both_classes(time, rows.is_fraud, history)]
        if usable:
            return [(fold.known(time, history), fold.tried(time)) for fold in usable]
    begin = validation_begin(time, VALIDATION_SHARE)
    plain = Fold(begin, begin, as_of)
    return [(plain.known(time, begin - first), plain.tried(time))]
