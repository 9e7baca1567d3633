"""The records of ``transactions.by-merchant``: Arrow batches of what INGEST says to SCORE.

One Kafka record is one batch of one source partition for one merchant partition. Its rows stand in source order. The headers name the
source, the feature set, and ``previous``: the offset of the last earlier source record with a row for the same merchant partition (−1 if
there is none). Both follow from the source log alone, so a batch said twice is recognised and a missing one shows as a gap.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.definitions import FeatureSet
from features.windows import Int64

TRANSACTION, LABEL, REFUSED = 0, 1, 2

# A third of what a broker takes by default, for the headers and an estimate that errs.
_MOST_BYTES = 300_000


@dataclass(frozen=True)
class Batch:
    """One decoded record. ``rows`` follows ``batch_schema``; ``position`` is its own (partition, offset) on transactions.by-merchant."""

    rows: pa.RecordBatch
    source_partition: int
    previous: int
    position: tuple[int, int]

    @property
    def offsets(self) -> Int64:
        """The source offset of each row (int64), rising."""
        return np.asarray(self.rows["offset"].to_numpy())


def batch_schema(feature_set: FeatureSet) -> pa.Schema:
    """The columns of a batch: ``fraud`` is what a label row adds, ``payload`` a dead letter (REFUSED) or the answer the API gave."""
    width = len(feature_set.of("user"))
    return pa.schema(
        [
            ("kind", pa.int8()),
            ("offset", pa.int64()),
            ("transaction_id", pa.string()),
            ("event_time", pa.int64()),
            ("user_id", pa.string()),
            ("merchant_id", pa.string()),
            ("amount", pa.int64()),
            ("fraud", pa.int8()),
            ("payload", pa.binary()),
            ("user_features", pa.list_(pa.float32(), width)),
        ]
    )


def encode(rows: pa.RecordBatch) -> Iterator[tuple[pa.RecordBatch, bytes]]:
    """Cuts the rows into records small enough for the broker; yields each with its bytes (an IPC message without its schema)."""
    pieces = max(1, -(-rows.nbytes // _MOST_BYTES))
    step = -(-len(rows) // pieces)
    for begin in range(0, len(rows), step):
        piece = rows.slice(begin, step)
        yield piece, piece.serialize().to_pybytes()


def headers(source_partition: int, previous: int, feature_set: FeatureSet) -> list[tuple[str, bytes]]:
    """The headers that go with a batch."""
    return [
        ("source", b"%d" % source_partition),
        ("previous", b"%d" % previous),
        ("features", feature_set.digest.encode()),
    ]


def decode(
    value: bytes, record_headers: Sequence[tuple[str, bytes]], position: tuple[int, int], schema: pa.Schema, feature_set: FeatureSet
) -> Batch:
    """The batch of one record. Raises ValueError if it was made for another feature set."""
    named = dict(record_headers)
    if named["features"].decode() != feature_set.digest:
        raise ValueError(
            f"the batch at {position} of transactions.by-merchant was made for features {named['features'][:12].decode()}, "
            f"this worker computes {feature_set.name} ({feature_set.digest[:12]}); run INGEST and SCORE with one feature set"
        )
    rows = pa.ipc.read_record_batch(pa.py_buffer(value), schema)
    return Batch(rows, int(named["source"]), int(named["previous"]), position)
