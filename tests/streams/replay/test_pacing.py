"""When records are due."""

import numpy as np
import pytest

from features.errors import UserError
from streams.replay.pacing import MAX_RATE, Rate, due_ms, parse_rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("max", MAX_RATE),
        ("5000", Rate("records", 5000)),
        ("0.5", Rate("records", 0.5)),
        ("realtime", Rate("realtime", 1)),
        ("realtime×60", Rate("realtime", 60)),
        ("realtimex1.5", Rate("realtime", 1.5)),
    ],
)
def test_a_rate_is_read(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "0", "-1", "fast", "x5", "realtime×", "realtime×0", "1e3", "nan"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is not a rate; use max, a number"):
        parse_rate(text)


def test_record_k_is_due_after_k_intervals_whatever_its_time() -> None:
    due = due_ms(Rate("records", 500), np.array([7, 7, 9_000]))
    assert due is not None
    assert due.tolist() == [0, 2, 4]


def test_event_time_runs_at_a_multiple_of_its_speed() -> None:
    due = due_ms(Rate("realtime", 60), np.array([60_000, 60_000, 120_000]))
    assert due is not None
    assert due.tolist() == [0, 0, 1_000]


def test_at_full_speed_nothing_waits() -> None:
    assert due_ms(MAX_RATE, np.array([1, 2])) is None
