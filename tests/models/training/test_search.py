"""The search finds what is good, gives the same for the same seed, and stops when it must."""

from collections.abc import Mapping

import numpy as np
import pytest

from features.definitions import DAY
from models.learners.xgboost_learner import XGBoostLearner
from models.training.prequential import Fold
from models.training.search import Trial, prequential_score, search
from tests.made.models import V1, learnable

SPACE = {"depth": (4, 2, 3, 5, 6, 7), "eta": (0.1, 0.05, 0.2)}


def score(parameters: Mapping[str, str | float | int]) -> float:
    return -abs(float(parameters["depth"]) - 6) - float(parameters["eta"])


def test_it_begins_with_what_is_in_use_and_tries_nothing_twice() -> None:
    reports: list[tuple[Trial, int]] = []
    trials = search(SPACE, score, np.random.default_rng(0), tries=100, report=lambda best, done: reports.append((best, done)))
    assert len(trials) == len({tuple(trial.parameters.values()) for trial in trials}) == 18
    assert trials[0] == Trial({"depth": 6, "eta": 0.05}, score({"depth": 6, "eta": 0.05}))
    assert reports[0] == (Trial({"depth": 4, "eta": 0.1}, score({"depth": 4, "eta": 0.1})), 1)
    assert [done for _, done in reports] == list(range(1, 19))
    assert reports[-1][0] == trials[0]


def test_the_same_seed_tries_the_same() -> None:
    first, again, other = (search(SPACE, score, np.random.default_rng(seed), tries=5) for seed in (0, 0, 1))
    assert first == again != other


def test_time_ends_it_but_never_before_the_first() -> None:
    assert len(search(SPACE, score, np.random.default_rng(0), tries=10, time_is_up=lambda: True)) == 1
    with pytest.raises(ValueError, match="at least one value"):
        search({"depth": ()}, score, np.random.default_rng(0), tries=1)


def test_learners_are_scored_by_what_comes_later() -> None:
    learner = XGBoostLearner(V1.names, 20, {"max_depth": 3})
    folds = [Fold(DAY, DAY + DAY // 2, 2 * DAY), Fold(2 * DAY, 2 * DAY + DAY // 2, 3 * DAY)]
    found = prequential_score(learnable(6_000), learner, folds, DAY)
    assert 0.5 < found < 1
    assert found == prequential_score(learnable(6_000), learner, folds, DAY)
