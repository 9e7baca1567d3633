"""A file's transactions are taken once each, by the same judgement as the stream's, and counted."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from features.definitions import FEATURE_SETS
from features.history.columns import CANONICAL
from features.history.label_delay import with_label_times
from features.history.log import HistoryLog, vectors
from streams.messages.record import LogRecord
from streams.replay.encode import encode_labels, encode_transactions
from streams.replay.plan import plan_replay
from streams.replay.repeats import each_once
from tests.made.records import KAFKA_TIME, advanced, ingest_state, received, routed, score_state
from tests.made.seal import copied

START = 1_700_000_000_000
DAY = 86_400_000
V2 = FEATURE_SETS["fraud_v2"]


def table_of(*rows: dict[str, Any]) -> pa.Table:
    whole = {"user_id": "u", "merchant_id": "m", "amount": 5, "currency": "EUR", "event_time": START}
    return with_label_times(pa.Table.from_pylist([{**whole, **row} for row in rows], CANONICAL), DAY)


def test_the_same_row_again_is_a_duplicate_and_another_content_a_conflict() -> None:
    table = table_of(
        {"transaction_id": "a"},
        {"transaction_id": "b"},
        {"transaction_id": "a"},
        {"transaction_id": "a", "amount": 6},
        {"transaction_id": "a", "user_id": "v"},
        {"transaction_id": "b", "event_time": START - 1},
    )
    once = each_once(table)
    assert (once.kept.tolist(), once.duplicates, once.conflicts) == ([0, 4, 5], 1, 2)
    assert once.table["amount"].to_pylist() == [5, 5, 5]
    assert once.table.schema == CANONICAL


def test_a_file_without_repeats_stays_as_it_is() -> None:
    table = table_of({"transaction_id": "a"}, {"transaction_id": "b"})
    assert each_once(table).table is table
    assert each_once(table.slice(0, 0)).duplicates == 0


def test_one_that_is_the_same_says_of_fraud_for_both_and_one_that_is_not_for_none() -> None:
    marks = [None, False, True], [True, None, False], [False, None, None], [None, None, None]
    found = [each_once(table_of(*({"transaction_id": "a", "is_fraud": mark} for mark in of))).table.to_pylist() for of in marks]
    assert [(row["is_fraud"], row["label_time"]) for (row,) in found] == [(True, START + DAY)] * 2 + [(False, None), (None, None)]
    conflicting = table_of({"transaction_id": "a"}, {"transaction_id": "a", "amount": 6, "is_fraud": True})
    assert each_once(conflicting).table["is_fraud"].to_pylist() == [None]


ROWS = st.fixed_dictionaries(
    {
        "transaction_id": st.sampled_from("abcdefgh"),
        "user_id": st.sampled_from(["u", "v"]),
        "merchant_id": st.sampled_from(["m", "n"]),
        "amount": st.sampled_from([5, 5, 5, 6]),
        "event_time": st.sampled_from([START, START, START + 1, START + 2 * DAY, START + 9 * DAY]),
        "device_id": st.sampled_from([None, "d"]),
        "is_fraud": st.booleans(),
    }
)


@settings(deadline=None)
@given(st.lists(ROWS, max_size=12), st.lists(st.tuples(st.integers(0, 11), st.booleans()), max_size=6))
def test_a_replay_of_the_file_counts_the_same_rows_and_gives_the_same_vectors(
    rows: list[dict[str, Any]], again: list[tuple[int, bool]]
) -> None:
    rows = rows + [{**rows[number], "is_fraud": is_fraud} for number, is_fraud in again if number < len(rows)]
    table = table_of(*rows)
    once = each_once(table)
    plan = plan_replay(table)
    transactions, labels = encode_transactions(table), _labels(table)
    log = []
    for offset, (kind, row) in enumerate(zip(plan.kind.tolist(), plan.row.tolist(), strict=True)):
        key = str(table["user_id"][row].as_py()).encode()
        value = transactions[row] if kind == 0 else labels[row]
        record = LogRecord(offset, KAFKA_TIME, key, value, [])
        log.append(record if kind == 0 else copied(record))
    counts: Counter[str] = Counter()
    sent = routed(ingest_state(feature_set=V2), log, counts=counts) if log else []
    assert (once.duplicates, once.conflicts) == (counts["duplicates"], counts["refused.conflict"])
    if sent:
        observed = advanced(score_state(V2), received(sent, feature_set=V2))
        assert observed.vectors.tobytes() == vectors(HistoryLog.from_table(once.table), V2).tobytes()


def _labels(table: pa.Table) -> dict[int, bytes]:
    known = table["label_time"].is_valid()
    return dict(zip(np.flatnonzero(known).tolist(), encode_labels(table.filter(known)), strict=True))
