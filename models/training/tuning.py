"""A search for the trees' hyper-parameters, on weeks before those that choose the history and judge the model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from features.definitions import DAY
from features.errors import UserError
from models.learners.parameters import Parameters
from models.learners.xgboost_learner import XGBoostLearner
from models.training.fitting import WEEKS
from models.training.prequential import WEEK, folds, span_known
from models.training.recipe import PARAMETERS, ROUNDS, THINNING
from models.training.search import Space, Trial, prequential_score, search
from models.training_set.rows import TrainingSet

_WEEKS = 2
# What is in use comes first, so nothing that is found is worse on these weeks.
_OTHERS: Mapping[str, tuple[float | int, ...]] = {
    "max_depth": (3, 4, 5, 6, 8),
    "eta": (0.02, 0.03, 0.05, 0.08),
    "subsample": (0.6, 0.8, 1.0),
    "colsample_bynode": (0.15, 0.3, 0.5, 0.8),
    "min_child_weight": (2, 5, 10, 20, 40),
    "reg_lambda": (1.0, 5.0, 20.0),
}


@dataclass(frozen=True)
class SearchBudget:
    """How long to search: at most ``tries``, and ``seconds`` if they are limited, until ``time_is_up``, which may count from when ``begun``
    was called. ``report`` gets the best trial so far and how many are done."""

    tries: int
    seconds: float | None = None
    time_is_up: Callable[[], bool] = lambda: False
    report: Callable[[Trial, int], None] = lambda _best, _done: None
    begun: Callable[[], None] = lambda: None


def space() -> Space:
    """The values there are of each parameter, the recipe's first (if it has none, the first listed)."""
    listed = {name: tuple(dict.fromkeys((PARAMETERS.get(name, values[0]), *values))) for name, values in _OTHERS.items()}
    return {**{name: (value,) for name, value in PARAMETERS.items() if name not in listed}, **listed}


def tuned(
    rows: TrainingSet,
    names: tuple[str, ...],
    history_days: int,
    labels_after: int,
    budget: SearchBudget,
    rng: np.random.Generator,
    seed: int = 0,
) -> tuple[Trial, int]:
    """The best parameters by mean average precision, and how many were tried.

    They are tried on the weeks before the newest ``fitting.WEEKS`` of the rows (in time order, all of known label), each with the last
    ``history_days`` known when it began. ``rng`` draws what is tried; its like, seed and number of tries give the same again. Raises
    UserError if the rows are too few days.
    """
    first, as_of = span_known(rows.event_time, labels_after)
    weeks = [
        fold
        for fold in folds(first, as_of - WEEKS * WEEK, labels_after, most=_WEEKS)
        if fold.has_both_classes(rows.event_time, rows.is_fraud, history_days * DAY)
    ]
    if not weeks:
        least = 6 + labels_after / DAY + 7 * (WEEKS + 1)
        raise UserError(
            f"--search needs weeks with frauds before the {WEEKS} newest, which judge the model, so at least {least:g} days of known "
            f"labels, and there are {(as_of - labels_after - first) / DAY:.0f}; give an earlier --from, or leave --search out"
        )
    budget.begun()

    def score(parameters: Parameters) -> float:
        learner = XGBoostLearner(names, ROUNDS, parameters, THINNING, seed)
        return prequential_score(rows, learner, weeks, history_days * DAY)

    trials = search(space(), score, rng, tries=budget.tries, time_is_up=budget.time_is_up, report=budget.report)
    return trials[0], len(trials)
