"""A finished history through the kernel: every transaction's vector, for training and backtests.

The log is the replay's: time, labels before transactions, then file order. What the stream gives on one partition, this gives bit for bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.arrays import Float32, Int8, Int64, Lateness, RecordKind
from features.definitions import FeatureSet
from features.history.log_order import replay_order
from features.state import EntityState
from features.vector import assemble, device_hashes

_CHUNK = 1 << 16


@dataclass(frozen=True)
class HistoryLog:
    """Transactions and labels in the order in which they happened; one entry a record.

    ``kind`` TRANSACTION or LABEL; ``row`` the table's row; ``user`` and ``merchant`` keys as ``(codes, names)``; ``time`` the event time
    of the transaction, for a label too (ms); ``amount`` in minor units; ``fraud`` what a label adds; ``device`` a hash or 0.
    """

    kind: Int8
    row: Int64
    time: Int64
    amount: Int64
    fraud: Int64
    device: Int64
    user: tuple[Int64, list[str]]
    merchant: tuple[Int64, list[str]]

    @classmethod
    def from_table(cls, table: pa.Table) -> Self:
        """The log of a canonical table; a row with a ``label_time`` (ms) has a label, which counts if ``is_fraud``."""
        event_time = table["event_time"].to_numpy().astype(np.int64)
        label_time = table["label_time"].cast(pa.int64())
        has_label = label_time.is_valid().to_numpy()
        kind, row = replay_order(event_time, label_time.fill_null(0).to_numpy(), has_label)
        is_fraud = pc.fill_null(table["is_fraud"].cast(pa.bool_()), False).to_numpy().astype(np.int64)
        device = (
            device_hashes(table["device_id"].to_pylist()) if table["device_id"].null_count < len(table) else np.zeros(len(table), np.int64)
        )
        return cls(
            kind,
            row,
            event_time[row],
            table["amount"].to_numpy().astype(np.int64)[row],
            np.where(kind == RecordKind.TRANSACTION, 0, is_fraud[row]),
            device[row],
            _codes(table["user_id"], row),
            _codes(table["merchant_id"], row),
        )

    @property
    def order(self) -> Int64:
        """The table's row of each transaction, in the order of the vectors."""
        return np.asarray(self.row[self.kind == RecordKind.TRANSACTION])


def _codes(column: pa.ChunkedArray, row: Int64) -> tuple[Int64, list[str]]:
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64)[row], encoded.dictionary.to_pylist()


def chunks(log: HistoryLog, feature_set: FeatureSet) -> Iterator[tuple[Int64, Float32]]:
    """Yields, in log order, the table's rows and the vectors (float32, n × names) of some ten thousand transactions at a time."""
    user, merchant = (EntityState(feature_set, entity, capacity=16384) for entity in ("user", "merchant"))
    user_slots, merchant_slots = user.slots(log.user[1])[log.user[0]], merchant.slots(log.merchant[1])[log.merchant[0]]
    for begin in range(0, len(log.kind), _CHUNK):
        here = slice(begin, begin + _CHUNK)
        kind, time, amount = log.kind[here], log.time[here], log.amount[here]
        of_user, lateness = user.apply(kind, user_slots[here], time, amount, log.fraud[here], log.device[here])
        # A label too late for its user counts nowhere.
        fraud = np.where(lateness == Lateness.TOO_LATE, 0, log.fraud[here])
        of_merchant, _ = merchant.apply(kind, merchant_slots[here], time, amount, fraud, log.device[here])
        asked = kind == RecordKind.TRANSACTION
        yield log.row[here][asked], assemble(feature_set, time[asked], amount[asked], of_user[asked], of_merchant[asked])


def vectors(log: HistoryLog, feature_set: FeatureSet) -> Float32:
    """The vector (float32, n × names) of each transaction as of before it, in the order of ``log.order``."""
    return np.concatenate([vector for _, vector in chunks(log, feature_set)] or [np.empty((0, len(feature_set.names)), np.float32)])
