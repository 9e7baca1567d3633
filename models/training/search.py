"""Hyper-parameters by random search (Bergstra and Bengio, 2012): seeded, judged by prequential folds, ended by tries or by time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.evaluation.metrics import average_precision
from models.learners.learner import Learner
from models.learners.parameters import Parameters, Value
from models.training.prequential import Fold
from models.training_set.rows import TrainingSet

Space = Mapping[str, Sequence[Value]]


@dataclass(frozen=True, slots=True)
class Trial:
    """Parameters that were tried, and their score: the higher, the better."""

    parameters: Parameters
    score: float


def search(
    space: Space,
    score: Callable[[Parameters], float],
    rng: np.random.Generator,
    *,
    tries: int,
    time_is_up: Callable[[], bool] = lambda: False,
    report: Callable[[Trial, int], None] = lambda _best, _done: None,
) -> tuple[Trial, ...]:
    """The trials, the best first; of equal ones the earlier.

    Each tries one value of every parameter of the ``space``, none twice, the first value of each to begin with: what is in use. There is
    always that first trial; after each one ``report`` gets the best so far and how many are done, and ``time_is_up`` may end the search.
    The same generator state and number of tries give the same trials, however long they take. Raises ValueError for a parameter without
    values.
    """
    if not all(space.values()):
        raise ValueError("each parameter needs at least one value to try")
    possible = int(np.prod([float(len(values)) for values in space.values()]))
    parameters = {name: values[0] for name, values in space.items()}
    tried: list[Trial] = []
    seen = set()
    while len(tried) < min(tries, possible) or not tried:
        key = tuple(parameters.values())
        if key not in seen:
            seen.add(key)
            tried.append(Trial(parameters, score(parameters)))
            report(max(tried, key=lambda trial: trial.score), len(tried))
            if time_is_up():
                break
        parameters = {name: values[int(rng.integers(len(values)))] for name, values in space.items()}
    return tuple(sorted(tried, key=lambda trial: -trial.score))


def prequential_score(rows: TrainingSet, learner: Learner, folds: Sequence[Fold], history: int) -> float:
    """Mean average precision of a learner over the folds, each fitted on the ``history`` (ms) before the fold's ``fit_end``.

    Raises UserError if a fold's rows to learn from are of one class, ValueError if those to try are.
    """
    found = []
    for fold in folds:
        fitted = learner.fit(rows.take(fold.known(rows.event_time, history)))
        tried = rows.take(fold.tried(rows.event_time))
        found.append(average_precision(tried.is_fraud, fitted.log_odds(tried.vectors), tried.weight))
    return float(np.mean(found))
