"""The latest known weeks decide between lengths of history and their means."""

import numpy as np
import pytest

from models.training.history_choice import choices

IS_FRAUD = np.array([True, True, False, False, False, False])
GOOD = np.array([3.0, 2.0, 1.0, 0.0, -1.0, -2.0])
BAD = np.array([-3.0, 3.0, 2.0, 1.0, 0.0, -1.0])


def test_the_more_precise_wins_over_all_weeks() -> None:
    found = choices([{7: GOOD, 28: BAD}] * 2, [IS_FRAUD] * 2)
    assert found[0].days == (7,)
    assert found[0].average_precision == 1.0
    assert {choice.days for choice in found} == {(7,), (28,), (7, 28)}


def test_a_mean_wins_where_it_is_better_than_its_parts() -> None:
    week = {7: np.array([9.0, 0.0, 1.0, 0, 0, 0]), 28: np.array([0.0, 9.0, 0, 1.0, 0, 0])}
    assert choices([week], [IS_FRAUD])[0].days == (7, 28)


def test_of_equals_the_simpler_wins() -> None:
    assert choices([{7: GOOD, 28: GOOD}], [IS_FRAUD])[0].days == (7,)


def test_weeks_of_one_class_decide_nothing() -> None:
    week = {7: GOOD}
    assert choices([week, week], [IS_FRAUD, np.zeros(6, np.bool_)])[0].average_precision == 1.0
    with pytest.raises(ValueError, match="no fold"):
        choices([week], [np.zeros(6, np.bool_)])
