"""The baselines judged as the trees are: on the same weeks, by the same thresholds and figures, so that runs can be compared.

Nothing of them is kept but figures: scikit-learn's models can only be pickled, and a pickle is code that runs when it is read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from features.definitions import DAY
from models.evaluation.metrics import auc_roc, average_precision
from models.learners.baselines import FittedBaseline, LogisticRegressionLearner, RandomForestLearner
from models.learners.calibration import Platt
from models.learners.learner import Learner
from models.learners.trained import OutOfFold
from models.training.fitting import WEEKS, Parameters
from models.training.plain_split import VALIDATION_SHARE, require_both_classes
from models.training.prequential import Fold, folds, span_known
from models.training.rehearsal import Rehearsal
from models.training_set.rows import TrainingSet
from models.training_set.splits import validation_begin
from models.training_set.thinning import sampled

BaselineName = Literal["logistic_regression", "random_forest"]
# Of the legitimate rows every so-many-th is learnt from; a forest, which takes longest, sees fewer.
_THINNING: Mapping[BaselineName, int] = {"logistic_regression": 3, "random_forest": 10}

_Made = tuple[Learner, Parameters]


@dataclass(frozen=True)
class Baseline:
    """A baseline's out-of-fold rows, calibrated, what made it, how it did on them, and each feature's importance (share, 0–1) to it."""

    name: BaselineName
    out_of_fold: OutOfFold
    parameters: Parameters
    metrics: Mapping[str, float]
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

    Where no week can be lived again, the latest quarter is scored by what is older. Raises UserError if a part is of one class.
    """
    learner, parameters = _learner(name, seed)
    parts = _parts(rows, histories, labels_after)
    scored, log_odds = [], []
    for known, tried in parts:
        require_both_classes(rows, rows.take(known), rows.take(tried))
        fitted = learner.fit(sampled(rows.take(known), _THINNING[name], seed))
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
        {
            "validation_auc": auc_roc(found.is_fraud, probability, found.weight),
            "validation_ap": average_precision(found.is_fraud, probability, found.weight),
        },
        dict(zip(names, fitted.importance(len(names)).tolist(), strict=True)),
    )


def _learner(name: BaselineName, seed: int) -> _Made:
    made: Mapping[BaselineName, Callable[[], _Made]] = {
        "logistic_regression": lambda: (LogisticRegressionLearner(), {"regularisation": LogisticRegressionLearner.regularisation}),
        "random_forest": lambda: (
            RandomForestLearner(seed=seed),
            {
                "trees": RandomForestLearner.trees,
                "least_in_leaf": RandomForestLearner.least_in_leaf,
                "most_rows": RandomForestLearner.most_rows,
            },
        ),
    }
    return made[name]()


def _parts(rows: TrainingSet, histories: tuple[int, ...], labels_after: int) -> list[tuple[np.ndarray, np.ndarray]]:
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


@dataclass(frozen=True)
class BaselineRun:
    """The run, the rows, and how the baseline did."""

    run_id: str
    rows: TrainingSet
    baseline: Baseline
    rehearsal: Rehearsal
