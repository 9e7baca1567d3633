"""A calibration finds the line that made the outcomes, and never changes an order."""

import numpy as np
import pytest

from models.learners.calibration import Platt, log_odds_of


def test_it_finds_the_line_that_outcomes_came_from() -> None:
    rng = np.random.default_rng(0)
    log_odds = rng.normal(-3, 2, 200_000)
    true = Platt(0.7, -1.2)
    is_fraud = rng.random(len(log_odds)) < true.probability(log_odds)
    found = Platt.fit(log_odds, is_fraud)
    assert (found.slope, found.intercept) == pytest.approx((0.7, -1.2), abs=0.05)
    assert true.probability(log_odds).mean() == pytest.approx(found.probability(log_odds).mean(), rel=0.05)


def test_order_and_distinctness_stay() -> None:
    log_odds = np.sort(np.random.default_rng(0).normal(-2, 4, 10_000).astype(np.float32).astype(np.float64))
    probability = Platt(0.3, 2.0).probability(np.unique(log_odds))
    assert (np.diff(probability) > 0).all()


def test_what_says_nothing_stays_as_it_is() -> None:
    is_fraud = np.array([True, False, True, False])
    assert Platt.fit(np.zeros(4), is_fraud) == Platt()
    assert Platt.fit(np.array([-1.0, 1.0, -1.0, 1.0]), is_fraud) == Platt()
    with pytest.raises(ValueError, match="frauds and others"):
        Platt.fit(np.zeros(2), np.array([True, True]))
    with pytest.raises(ValueError, match="must rise"):
        Platt(0.0)


def test_certainty_has_log_odds_too() -> None:
    """Trees that can tell all rows apart give 1 and 0; a calibration of those must be possible."""
    found = log_odds_of(np.array([0.0, 1e-30, 0.5, 1 - 2**-24, 1.0]))
    assert np.isfinite(found).all()
    assert (np.diff(found) >= 0).all()
    assert found[2] == 0
    sure = np.repeat([0.0, 1.0], 50)
    assert Platt.fit(log_odds_of(sure), sure > 0.5).probability(log_odds_of(sure)) == pytest.approx(sure, abs=0.01)
