"""How far what is well strays by itself, and the limit that follows from it."""

from typing import Any

import numpy as np
import pytest

from models.monitoring.divergence import jensen_shannon_distance, shares
from models.monitoring.in_control import SLACK, STRAYS, TARGET_DAYS, DailyCounts, in_control, step

RNG = np.random.default_rng(0)
BINS = 20


def days_of(shares_by_day: Any, rows: int = 2_000, seed: int = 0) -> np.ndarray:
    """Counts by day and bin of so many rows a day."""
    rng = np.random.default_rng(seed)
    return np.array([rng.multinomial(rows, of_day) for of_day in shares_by_day])


def even(days: int) -> list[np.ndarray]:
    return [np.full(BINS, 1 / BINS)] * days


def weekdays(days: int) -> np.ndarray:
    return np.arange(days) % 7


def test_a_day_is_compared_with_days_of_its_weekday_two_weeks_away() -> None:
    counts = days_of(even(28))
    found = in_control([DailyCounts("a", counts)], weekdays(28))
    assert found is not None
    distances = []
    for day in range(28):
        others = counts[[other for other in range(28) if other % 7 == day % 7 and abs(other - day) > 7]].sum(axis=0)
        rest = counts.sum() - counts[day].sum()
        distances.append(jensen_shannon_distance(shares(others / others.sum() * rest), shares(counts[day])))
    assert found.columns["a"].distance == pytest.approx(np.mean(distances), abs=1e-12)
    weeks = np.array(distances).reshape(4, 7).mean(axis=1)
    spread = max(np.std(distances, ddof=1), np.std(weeks, ddof=1) * np.sqrt(7))
    assert found.columns["a"].spread == pytest.approx(spread, abs=1e-12)
    assert (found.rows, found.days) == (2_000, 28)


def test_the_limit_is_reached_by_chance_as_seldom_as_it_says() -> None:
    columns = [DailyCounts(f"{place}", days_of(even(56), seed=place)) for place in range(30)]
    found = in_control(columns, weekdays(56))
    assert found is not None
    assert found.run_length.mean >= TARGET_DAYS
    assert found.run_length.low < found.run_length.mean < found.run_length.high
    # Other days of the same kind, with all of the reference to compare with.
    profile = [shares(np.stack([column.counts[weekdays(56) == day].sum(axis=0) for day in range(7)])) for column in columns]
    alarms, names = 0, [column.name for column in columns]
    for path in range(10):
        sums = np.zeros(30)
        later = np.stack([days_of(even(100), seed=1_000 + 100 * path + place) for place in range(30)], axis=1)
        for day, counts in enumerate(later):
            distances = np.array([jensen_shannon_distance(of[day % 7], shares(here)) for of, here in zip(profile, counts, strict=True)])
            sums = step(sums, found.excess(names, distances, 2_000), 1.0, found.limit)
            if sums.max() >= found.limit:
                alarms, sums = alarms + 1, np.zeros(30)
    # The tail of few days is known badly.
    assert alarms <= 1_000 / 60


def test_what_changes_by_itself_is_not_watched() -> None:
    growing = [np.roll(np.r_[np.full(5, 0.2), np.zeros(BINS - 5)], day // 4) for day in range(56)]
    found = in_control([DailyCounts("age", days_of(growing)), DailyCounts("even", days_of(even(56)))], weekdays(56))
    assert found is not None
    assert found.columns["age"].distance > STRAYS
    assert (found.columns["age"].watched, found.columns["even"].watched) == (False, True)
    assert in_control([DailyCounts("age", days_of(growing))], weekdays(56)) is None


def test_too_few_days_say_nothing() -> None:
    assert in_control([DailyCounts("a", days_of(even(13)))], weekdays(13)) is None
    with_empty_ones = np.vstack([days_of(even(13)), np.zeros((20, BINS), np.int64)])
    assert in_control([DailyCounts("a", with_empty_ones)], weekdays(33)) is None
    assert in_control([], weekdays(56)) is None


def test_what_is_always_the_same_has_a_limit_too() -> None:
    counts = np.tile([500, 0, 0], (56, 1))
    found = in_control([DailyCounts("a", counts), DailyCounts("b", days_of(even(56)))], weekdays(56))
    assert found is not None
    assert found.columns["a"].spread > 0
    assert np.isfinite(found.limit)


def test_fewer_rows_are_further_off_by_chance() -> None:
    found = in_control([DailyCounts("a", days_of(even(56)))], weekdays(56))
    assert found is not None
    usual = np.array([found.columns["a"].distance])
    assert found.excess(["a"], usual, 2_000) == pytest.approx(0)
    assert found.excess(["a"], usual, 8_000) == pytest.approx(0)
    assert found.excess(["a"], 2 * usual, 500) == pytest.approx(0)


def test_a_sum_grows_by_what_is_beyond_the_slack_and_comes_down_again() -> None:
    sums = step(np.array([0.0, 1.0, 9.5]), np.array([3.0, 0.0, 50.0]), 0.5, 5.0)
    assert sums == pytest.approx([(3 - SLACK) / 2, 1 - SLACK / 2, 10.0])
