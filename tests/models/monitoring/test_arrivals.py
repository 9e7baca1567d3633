"""Labels that arrive beyond what the scores say: none while the scores are right, an alarm within days when they aren't."""

import numpy as np
import pytest

from features.definitions import DAY
from models.monitoring.arrivals import LIMIT, Arrivals, Passed, arrivals, detect

DELAY = 14 * DAY
A_DAY = 1_000


def passed(days: int, seed: int, missed_from: int | None = None, missed: float = 2.0, cards: int = 1) -> Passed:
    """Payments whose frauds are as likely as scored, each stolen card used ``cards`` times; from a day on ``missed`` times as likely."""
    rng = np.random.default_rng(seed)
    n = days * A_DAY // cards
    time = np.sort(rng.integers(0, days * DAY, n))
    probability = np.clip(rng.beta(0.5, 40, n), 0, 0.3)
    wrong = 1.0 if missed_from is None else np.where(time >= missed_from * DAY, missed, 1.0)
    fraud = rng.random(n) < probability * wrong
    label = time + (rng.beta(1.2, 3, n) * DELAY).astype(np.int64)
    again = np.repeat(np.arange(n), cards)
    return Passed(time[again], again, probability[again], fraud[again], label[again])


def as_known(rows: Passed, day: int) -> Passed:
    """The rows before a day, with the labels that are there by then."""
    there = rows.event_time < day * DAY
    early = rows.where(there)
    return Passed(early.event_time, early.user, early.probability, early.is_fraud & (early.label_time < day * DAY), early.label_time)


def alarm(rows: Passed, day: int) -> Arrivals:
    found = arrivals(as_known(rows, day), day * DAY, DELAY)
    assert found is not None
    return found


def test_as_many_arrive_as_the_scores_say() -> None:
    found = alarm(passed(90, 1), 90)
    expected, observed = (sum(values) for values in zip(*((day.expected, day.observed) for day in found.days), strict=True))
    assert len(found.days) == 90
    assert expected == pytest.approx(observed, rel=0.1)
    assert found.alarm_since is None
    # Those that come first are few, and more are expected each day until the first cohorts have matured.
    assert found.days[0].expected < found.days[5].expected < found.days[13].expected


def test_days_are_counted_as_a_loop_does() -> None:
    rows = as_known(passed(40, 2), 40)
    found = arrivals(rows, 40 * DAY, DELAY)
    assert found is not None
    matured = [
        min(label - time, DELAY)
        for time, label, fraud in zip(rows.event_time.tolist(), rows.label_time.tolist(), rows.is_fraud.tolist(), strict=True)
        if fraud and time + DELAY <= 40 * DAY
    ]
    for day in (3, 20, 39):
        due = 0.0
        for time, probability in zip(rows.event_time.tolist(), rows.probability.tolist(), strict=True):
            middle = time // 3_600_000 * 3_600_000 + 1_800_000
            ages = [at * DAY - middle for at in (day, day + 1)]
            due += probability * float(np.diff([np.mean(np.array(matured) <= age) if age > 0 else 0.0 for age in ages])[0])
        assert found.days[day].expected == pytest.approx(due)
        arrived = [label for label, fraud in zip(rows.label_time, rows.is_fraud, strict=True) if fraud and label // DAY == day]
        assert found.days[day].observed == len(arrived)


def test_fraud_that_is_scored_too_low_is_noticed_before_its_labels_have_matured() -> None:
    rows = passed(90, 3, missed_from=60, missed=3.0)
    assert alarm(rows, 60).alarm_since is None
    since = alarm(rows, 60 + 10).alarm_since
    assert since is not None
    assert 60 * DAY <= since < (60 + 10) * DAY


def test_an_alarm_is_over_once_the_evidence_is_gone() -> None:
    observed = np.array([10] * 20 + [30] * 6 + [10] * 30)
    values = detect(observed, np.full(56, 10.0), 1.0)
    assert values[19] < 1 < LIMIT < values[25]
    assert values[-1] < 1


@pytest.mark.parametrize("clustered", [1.0, 3.0])
def test_false_alarms_are_as_seldom_as_promised(clustered: float) -> None:
    rng = np.random.default_rng(4)
    expected = np.full(2_000, 12.0)
    alarms = 0
    for _ in range(10):
        # At the very border of what is tolerated, where it is hardest.
        observed = rng.poisson(1.25 * 12.0 / clustered, 2_000) * int(clustered)
        values = detect(observed, expected, clustered)
        alarms += int(np.count_nonzero((values[1:] >= LIMIT) & (values[:-1] < LIMIT)))
    assert alarms <= 10 * 2_000 / LIMIT


def test_frauds_that_come_together_are_weaker_evidence() -> None:
    alone, together = alarm(passed(90, 5), 90), alarm(passed(90, 5, cards=4), 90)
    assert alone.clustered == pytest.approx(1.0, abs=0.05)
    assert together.clustered == pytest.approx(4.0, abs=0.1)
    assert detect(np.array([30]), np.array([10.0]), 4.0) < detect(np.array([30]), np.array([10.0]), 1.0)


def test_without_matured_frauds_nothing_is_known() -> None:
    assert arrivals(as_known(passed(10, 6), 10), 10 * DAY, DELAY) is None
