"""A history is merged into one log: by time, labels before transactions, then the rows of the file."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.arrays import RecordKind
from features.history.log_order import replay_order


def merged(event_time: list[int], label_time: list[int | None]) -> list[str]:
    """The log as 't<row>' and 'l<row>'."""
    kind, row = replay_order(
        np.array(event_time, dtype=np.int64),
        np.array([-1 if time is None else time for time in label_time], dtype=np.int64),
        np.array([time is not None for time in label_time], dtype=bool),
    )
    assert kind.dtype == np.int8
    assert row.dtype == np.int64
    return [f"{'l' if k == RecordKind.LABEL else 't'}{r}" for k, r in zip(kind, row, strict=True)]


def test_records_come_by_time() -> None:
    # time         1   2   3   4   5
    # transaction  t2      t0      t1
    # label            l2      l0
    assert merged([3, 5, 1], [4, None, 2]) == ["t2", "l2", "t0", "l0", "t1"]


def test_at_equal_time_labels_come_first_and_then_the_rows_of_the_file() -> None:
    # time         1       5
    # transaction  t1 t3   t0 t2
    # label                l1 l3
    assert merged([5, 1, 5, 1], [None, 5, None, 5]) == ["t1", "t3", "l1", "l3", "t0", "t2"]


def test_a_label_known_at_once_comes_before_its_own_transaction() -> None:
    assert merged([7], [7]) == ["l0", "t0"]


def test_a_label_time_without_a_label_is_not_read() -> None:
    kind, row = replay_order(np.array([2, 1]), np.array([-9, -9]), np.array([False, False]))
    assert kind.tolist() == [RecordKind.TRANSACTION, RecordKind.TRANSACTION]
    assert row.tolist() == [1, 0]


def test_an_empty_table_is_an_empty_log() -> None:
    assert merged([], []) == []


def test_columns_of_two_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="must be of one table"):
        replay_order(np.array([1, 2]), np.array([1]), np.array([False, False]))


def test_the_kinds_are_those_of_the_kernel() -> None:
    assert (RecordKind.TRANSACTION, RecordKind.LABEL) == (RecordKind.TRANSACTION, RecordKind.LABEL)


@given(st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(0, 5)), max_size=30))
def test_the_order_is_that_of_sorting_by_time_kind_and_row(rows: list[tuple[int, int | None]]) -> None:
    records = [(time, 1, f"t{row}", row) for row, (time, _) in enumerate(rows)]
    records += [(label, 0, f"l{row}", row) for row, (_, label) in enumerate(rows) if label is not None]
    expected = [name for _, _, name, _ in sorted(records, key=lambda record: (record[0], record[1], record[3]))]
    assert merged([time for time, _ in rows], [label for _, label in rows]) == expected
