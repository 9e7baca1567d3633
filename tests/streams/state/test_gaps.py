"""Gaps in what SCORE reads: open as long as rows that were left out haven't come again."""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.messages.batches import Batch
from streams.score import admit
from streams.state.merchants import Gap, ScoreState
from tests.made.records import FRAUD_V1, ingest_state, received, routed, score_state, transaction

ROWS = 12
(ALL,) = received(routed(ingest_state(), [transaction(offset) for offset in range(ROWS)]))


def rows(begin: int, end: int, previous: int | None = None, position: int = 0) -> Batch:
    """The rows of a stretch of offsets, with the one that they follow."""
    before = begin - 1 if previous is None else previous
    return replace(ALL, rows=ALL.rows.slice(begin, end - begin), previous={0: before}, position=(0, position))


def admitted(state: ScoreState, *batches: Batch) -> list[int]:
    return [offset for batch in batches for offset in admit(state, batch, Counter()).rows["offset"].to_pylist()]


def test_rows_behind_missing_ones_open_a_gap_until_they_come_again() -> None:
    state = score_state()
    assert admitted(state, rows(0, 3), rows(5, 7)) == [0, 1, 2]
    assert state.gaps == {0: Gap(2, 6, 6)}
    assert admitted(state, rows(7, 9)) == []
    assert state.gaps == {0: Gap(2, 6, 8)}
    assert admitted(state, rows(3, 5)) == [3, 4]
    assert state.gaps == {0: Gap(2, 6, 8)}
    assert admitted(state, rows(5, 7)) == [5, 6]
    assert state.gaps == {0: Gap(6, 8, 8)}
    assert admitted(state, rows(7, 9)) == [7, 8]
    assert state.gaps == {}


def test_a_gap_is_saved_with_the_state() -> None:
    state, later = score_state(), score_state()
    admitted(state, rows(0, 3), rows(5, 7))
    later.resume(state.progress(), [], {})
    assert later.gaps == {0: Gap(2, 6, 6)}
    assert admitted(later, rows(3, 7)) == [3, 4, 5, 6]
    assert later.gaps == {}


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, ROWS - 1), st.integers(1, 4)), max_size=30))
def test_a_gap_is_open_as_long_as_a_row_that_came_was_not_applied(stretches: list[tuple[int, int]]) -> None:
    state = ScoreState(FRAUD_V1, partitions=1, sources=1, currency="EUR")
    came: set[int] = set()
    applied: list[int] = []
    for begin, length in stretches:
        end = min(ROWS, begin + length)
        applied += admitted(state, rows(begin, end))
        came |= set(range(begin, end))
        assert bool(state.gaps) == bool(came - set(applied))
    assert applied == sorted(set(applied))
