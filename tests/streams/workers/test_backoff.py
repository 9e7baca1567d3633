"""A stage that fails is started again ever less often; one that ran well, at once."""

from hypothesis import given
from hypothesis import strategies as st

from streams.workers.backoff import Backoff


def waits(*runs: tuple[float, bool]) -> list[float]:
    backoff = Backoff()
    return [backoff.wait_after(*run) for run in runs]


def test_it_starts_at_once_and_then_ever_later_up_to_a_minute() -> None:
    assert waits(*[(0.5, False)] * 10) == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_after_a_good_run_it_starts_at_once_again() -> None:
    assert waits((1, True), (1, True), (1, True), (40, True), (1, True)) == [0, 1, 2, 0, 1]


def test_a_long_time_without_coming_up_is_no_good_run() -> None:
    assert waits(*[(45, False)] * 4) == [0, 1, 2, 4]


@given(st.lists(st.tuples(st.floats(0, 1e6), st.booleans()), max_size=2_000))
def test_whatever_happens_it_starts_again_within_a_minute(runs: list[tuple[float, bool]]) -> None:
    assert all(0 <= wait <= 60 for wait in waits(*runs))
