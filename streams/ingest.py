"""INGEST: a user's records and what is known of the user → batches for the merchants' partitions.

A pure function of its source partition: it may say things twice (after a restart), never differently.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from features.definitions import FeatureSet
from features.labels import LabelBook
from features.state import EntityState
from features.vector import device_hashes
from features.windows import LATE, TOO_LATE
from streams import batches
from streams.batches import LABEL, REFUSED
from streams.events import Transaction
from streams.partitioner import partition_of
from streams.validation import Record, RefusedError, Validator


@dataclass
class IngestState:
    """All that one partition of ``transactions`` has taught: users, labels, and where each merchant partition's last row came from."""

    feature_set: FeatureSet
    validator: Validator
    merchant_partitions: int
    users: EntityState = field(init=False)
    labels: LabelBook = field(init=False, default_factory=LabelBook)
    previous: list[int] = field(init=False)
    targets: dict[str, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.users = EntityState(self.feature_set, "user")
        self.previous = [-1] * self.merchant_partitions

    def target(self, merchant_id: str) -> int:
        """The merchant partition of a merchant."""
        target = self.targets.get(merchant_id)
        if target is None:
            target = self.targets[merchant_id] = partition_of(merchant_id.encode(), self.merchant_partitions)
        return target


@dataclass(frozen=True)
class Routed:
    """One record for ``transactions.by-merchant``."""

    partition: int
    value: bytes
    headers: list[tuple[str, bytes]]


@dataclass
class _Rows:
    """The records of one call, column by column; ``events`` of accepted rows only, ``accepted`` their row numbers."""

    kind: np.ndarray
    fraud: np.ndarray
    events: list[Transaction] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    payload: list[bytes | None] = field(default_factory=list)


def ingest(state: IngestState, records: Sequence[Record], counts: Counter[str]) -> list[Routed]:
    """Applies the records of one source partition, in order, to the state; returns what to send on, in order.

    Every record becomes one row: a transaction with its user's features as of before it, a label with what it adds, or a refused
    record with its dead letter. ``counts`` gains late, too_late, labels and refused.<reason>.
    """
    rows = _read(state, records, counts)
    features = _apply(state, rows, counts)
    return _route(state, records, rows, features)


def _read(state: IngestState, records: Sequence[Record], counts: Counter[str]) -> _Rows:
    rows = _Rows(np.zeros(len(records), np.int8), np.zeros(len(records), np.int64))
    validator = state.validator
    for i, record in enumerate(records):
        answer = None
        try:
            headers = dict(record.headers) if record.headers else {}
            if headers.get("type") == b"label":
                label = validator.label(record)
                rows.kind[i] = LABEL
                rows.fraud[i] = state.labels.delta(label.user_id, label.transaction_id, label.label_time, label.is_fraud)  # type: ignore[arg-type]
                event = Transaction(label.transaction_id, label.event_time, label.user_id, label.merchant_id, 0, validator.currency)
                counts["labels"] += 1
            else:
                event = validator.transaction(record)
                answer = headers.get("answer")
        except RefusedError as refused:
            rows.kind[i] = REFUSED
            rows.payload.append(validator.dead_letter(record, refused))
            counts[f"refused.{refused.reason}"] += 1
            continue
        rows.events.append(event)
        rows.accepted.append(i)
        rows.payload.append(answer)
    return rows


def _apply(state: IngestState, rows: _Rows, counts: Counter[str]) -> np.ndarray:
    events, n = rows.events, len(rows.events)
    slots = state.users.slots([event.user_id for event in events])
    times = np.fromiter([event.event_time for event in events], np.int64, n)
    amounts = np.fromiter([event.amount for event in events], np.int64, n)
    devices = device_hashes([event.device_id for event in events]) if state.feature_set.devices else np.zeros(n, np.int64)
    kind, fraud = rows.kind[rows.accepted], rows.fraud[rows.accepted]
    features, lateness = state.users.apply(kind, slots, times, amounts, fraud, devices)
    counts["late"] += int(np.count_nonzero(lateness == LATE))
    counts["too_late"] += int(np.count_nonzero(lateness == TOO_LATE))
    return features


def _route(state: IngestState, records: Sequence[Record], rows: _Rows, features: np.ndarray) -> list[Routed]:
    table = _table(state, records, rows, features)
    # A refused record has no merchant to go by; any partition that follows from its source will do.
    refuge = state.validator.partition % state.merchant_partitions
    target = np.full(len(records), refuge, np.int64)
    target[rows.accepted] = np.fromiter([state.target(event.merchant_id) for event in rows.events], np.int64, len(rows.events))
    order = np.argsort(target, kind="stable")
    cuts = np.searchsorted(target[order], np.arange(state.merchant_partitions + 1))
    sorted_rows = table.take(pa.array(order))
    routed = []
    for partition in range(state.merchant_partitions):
        begin, end = int(cuts[partition]), int(cuts[partition + 1])
        for piece, value in batches.encode(sorted_rows.slice(begin, end - begin)) if end > begin else ():
            previous, state.previous[partition] = state.previous[partition], piece.column(1)[-1].as_py()
            routed.append(Routed(partition, value, batches.headers(state.validator.partition, previous, state.feature_set)))
    return routed


def _table(state: IngestState, records: Sequence[Record], rows: _Rows, features: np.ndarray) -> pa.RecordBatch:
    events, n = rows.events, len(records)
    columns = [
        pa.array([event.transaction_id for event in events], pa.string()),
        pa.array([event.event_time for event in events], pa.int64()),
        pa.array([event.user_id for event in events], pa.string()),
        pa.array([event.merchant_id for event in events], pa.string()),
        pa.array([event.amount for event in events], pa.int64()),
        pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), state.users.width),
    ]
    if len(events) < n:
        # Row numbers of the accepted ones, null where a record was refused: taking null gives null.
        place = np.full(n, -1, np.int64)
        place[rows.accepted] = np.arange(len(events))
        places = pa.array(place, mask=place < 0)
        columns = [column.take(places) for column in columns]
    return pa.RecordBatch.from_arrays(
        [
            pa.array(rows.kind),
            pa.array(np.fromiter([record.offset for record in records], np.int64, n)),
            *columns[:5],
            pa.array(rows.fraud.astype(np.int8)),
            pa.array(rows.payload, pa.binary()),
            columns[5],
        ],
        schema=batches.batch_schema(state.feature_set),
    )
