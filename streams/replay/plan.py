"""What a replay sends, in which order: the transactions and labels of a canonical table whose time falls into a range."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.arrays import Bool, Int8, Int64, RecordKind
from features.history.log_order import replay_order
from streams.replay.repeats import conflicting


@dataclass(frozen=True)
class ReplayPlan:
    """The records of a replay, one entry each, in order.

    ``kind`` (int8, TRANSACTION or LABEL), ``row`` (int64, the table's row), ``time`` (int64 ms UTC: event_time, or label_time of a label),
    ``seq`` (int64, the record's place in the whole replay, of which the plan may be what is left).
    """

    kind: Int8
    row: Int64
    time: Int64
    seq: Int64

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def transactions(self) -> int:
        """How many of the records are transactions."""
        return int((self.kind == RecordKind.TRANSACTION).sum())

    @property
    def labels(self) -> int:
        """How many of the records are labels."""
        return int((self.kind == RecordKind.LABEL).sum())

    def only(self, chosen: Bool) -> "ReplayPlan":
        """What is left if only these records are sent, the others having been sent before."""
        return ReplayPlan(self.kind[chosen], self.row[chosen], self.time[chosen], self.seq[chosen])


def plan_replay(table: pa.Table, start_ms: int | None = None, end_ms: int | None = None) -> ReplayPlan:
    """Put the records of ``table`` (canonical) in replay order and keep those with ``start_ms`` ≤ time < ``end_ms`` (None: no bound).

    A label falls into the range by its label_time, whenever its transaction was. A row that conflicts with one before it is sent, and will
    be refused; its label isn't, for it would be taken for one of the transaction before.
    """
    event_time = table["event_time"].to_numpy()
    label_time = pc.fill_null(table["label_time"], 0).to_numpy()
    labelled = table["label_time"].is_valid().to_numpy() & ~conflicting(table)
    kind, row = replay_order(event_time, label_time, labelled)
    time = np.where(kind == RecordKind.LABEL, label_time[row], event_time[row])
    begin = 0 if start_ms is None else int(np.searchsorted(time, start_ms, side="left"))
    end = len(time) if end_ms is None else int(np.searchsorted(time, end_ms, side="left"))
    return ReplayPlan(kind[begin:end], row[begin:end], time[begin:end], np.arange(max(0, end - begin)))
