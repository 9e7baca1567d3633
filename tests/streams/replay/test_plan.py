"""A replay takes what falls into its range, labels by their own time."""

import numpy as np
import pyarrow as pa
import pytest

from features.arrays import RecordKind
from features.history.columns import CANONICAL
from features.history.log import HistoryLog
from streams.replay.plan import plan_replay

#            time  10    20    30    40    50    60
# transactions     t0    t1    t2    t3
# labels                       l0          l1
EVENT_TIME = [10, 20, 30, 40]
LABEL_TIME = [30, 50, None, None]


def table_of(event_time: list[int], label_time: list[int | None]) -> pa.Table:
    rows = [
        {
            "transaction_id": str(row),
            "event_time": at,
            "user_id": "u",
            "merchant_id": "m",
            "amount": 1,
            "currency": "EUR",
            "label_time": label,
        }
        for row, (at, label) in enumerate(zip(event_time, label_time, strict=True))
    ]
    return pa.Table.from_pylist(rows, schema=CANONICAL)


@pytest.mark.parametrize(
    ("start", "end", "records"),
    [
        (None, None, ["t0", "t1", "l0", "t2", "t3", "l1"]),
        (20, 40, ["t1", "l0", "t2"]),  # the label of t0, which came before the range; not that of t1, which comes after it
        (30, None, ["l0", "t2", "t3", "l1"]),
        (None, 30, ["t0", "t1"]),
        (45, 55, ["l1"]),
        (60, None, []),
    ],
)
def test_the_range(start: int | None, end: int | None, records: list[str]) -> None:
    plan = plan_replay(table_of(EVENT_TIME, LABEL_TIME), start, end)
    assert [f"{'l' if kind == RecordKind.LABEL else 't'}{row}" for kind, row in zip(plan.kind, plan.row, strict=True)] == records
    assert plan.time.tolist() == [LABEL_TIME[int(r[1])] if r[0] == "l" else EVENT_TIME[int(r[1])] for r in records]
    assert len(plan) == len(records) == plan.transactions + plan.labels
    assert plan.labels == sum(record[0] == "l" for record in records)


def test_the_kernel_reads_a_history_in_the_order_of_its_replay() -> None:
    random = np.random.default_rng(0)
    table = table_of(random.integers(10**11, 10**11 + 20, 100).tolist(), random.integers(10**11, 10**11 + 20, 100).tolist())
    plan, log = plan_replay(table), HistoryLog.from_table(table)
    assert plan.kind.tolist() == log.kind.tolist()
    assert plan.row.tolist() == log.row.tolist()
