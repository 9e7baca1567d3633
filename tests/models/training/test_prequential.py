"""Folds are tried as they would have been in service: fitted on labels known when the tried week began.

day     0         10        20        30        40        50
                              fit ──▶|gap 7 |try 7 |gap 7 | as of 50
                       fit ──▶|gap 7 |try 7 |
"""

import numpy as np
import pytest

from features.definitions import DAY
from models.training.prequential import Fold, folds, rows_between


def days(*numbers: int) -> Fold:
    return Fold(*(number * DAY for number in numbers))


def test_weeks_end_where_labels_end_and_each_has_a_gap() -> None:
    assert folds(0, 50 * DAY, 7 * DAY, most=2) == (days(22, 29, 36), days(29, 36, 43))


def test_a_fold_needs_history() -> None:
    assert folds(0, 50 * DAY, 7 * DAY, most=9) == (days(8, 15, 22), days(15, 22, 29), days(22, 29, 36), days(29, 36, 43))
    assert folds(0, 26 * DAY, 7 * DAY, most=9) == ()


@pytest.mark.parametrize("delay", [0, 1, 7, 10])
def test_nothing_fitted_on_was_unknown_when_its_week_began(delay: int) -> None:
    for fold in folds(0, 60 * DAY, delay * DAY, most=5):
        assert fold.fit_end + delay * DAY <= fold.begin < fold.end <= (60 - delay) * DAY


def test_rows_are_picked_by_time_alone() -> None:
    event_time = np.array([5, 1, 3, 2, 4])
    assert rows_between(event_time, 2, 4).tolist() == [2, 3]
    assert Fold(0, 4, 6).tried(event_time).tolist() == [0, 4]
