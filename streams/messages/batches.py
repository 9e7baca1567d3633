"""The records of ``transactions.by-merchant``: Arrow batches of what INGEST sends to SCORE.

One Kafka record is one batch for one merchant partition. Its rows come from one or more source partitions and stand, for each of them, in
source order. The headers name the feature set and, for each source, ``previous``: the offset of the last earlier source record with a row
for the same merchant partition (−1 if there is none). Both follow from the source log alone, so a row sent twice is recognised and a
missing one shows as a gap. A seal (``seal.py``) shows that the record is INGEST's: others are ignored.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa

from features.arrays import Int64
from features.definitions import FeatureSet
from streams.messages import arrivals

TRANSACTION, LABEL, REFUSED = 0, 1, 2

PREVIOUS, FEATURES = "tidemark-previous", "tidemark-features"
# A third of what a broker takes by default, for the headers and an estimate that errs.
_MOST_BYTES = 300_000


@dataclass(frozen=True)
class Batch:
    """One decoded record. ``rows`` follows ``batch_schema``; ``previous`` goes by source partition; ``position`` is the record's own
    (partition, offset) on transactions.by-merchant. ``arrived`` says when its rows came in (``arrivals.py``); empty if that isn't said."""

    rows: pa.RecordBatch
    previous: Mapping[int, int]
    position: tuple[int, int]
    arrived: bytes = b""


_HEAD = (
    ("kind", pa.int8()),
    ("source", pa.int32()),
    ("offset", pa.int64()),
    ("transaction_id", pa.string()),
    ("event_time", pa.int64()),
    ("user_id", pa.string()),
    ("merchant_id", pa.string()),
    ("amount", pa.int64()),
    ("fraud", pa.int8()),
    ("payload", pa.binary()),
)
_HEAD_NAMES = [name for name, _ in _HEAD]


@cache
def batch_schema(feature_set: FeatureSet) -> pa.Schema:
    """The columns of a batch: ``source`` and ``offset`` say which record of transactions a row comes from, ``fraud`` is what a label row
    adds, ``payload`` a dead letter (REFUSED) or the answer the API gave."""
    width = len(feature_set.of("user"))
    return pa.schema([*_HEAD, ("user_features", pa.list_(pa.float32(), width))])


def pieces(rows: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Cuts the rows into batches small enough for the broker; none if there are no rows."""
    count = max(1, -(-rows.nbytes // _MOST_BYTES))
    step = max(1, -(-len(rows) // count))
    for begin in range(0, len(rows), step):
        yield rows.slice(begin, step)


def encode(rows: pa.RecordBatch) -> bytes:
    """The bytes of a batch: an IPC message without its schema."""
    return bytes(rows.serialize().to_pybytes())


def headers(previous: Mapping[int, int], feature_set: FeatureSet) -> list[tuple[str, bytes]]:
    """The headers that go with a batch."""
    return [
        (PREVIOUS, ",".join(f"{source}:{offset}" for source, offset in previous.items()).encode()),
        (FEATURES, feature_set.digest.encode()),
    ]


def decode(
    value: bytes, record_headers: Sequence[tuple[str, bytes]], position: tuple[int, int], schema: pa.Schema, feature_set: FeatureSet
) -> Batch:
    """The batch of one record. Raises ValueError if it was made for another feature set."""
    named = dict(record_headers)
    if named[FEATURES].decode() != feature_set.digest:
        raise ValueError(
            f"the batch at {position} of transactions.by-merchant was made for features {named[FEATURES][:12].decode()}, "
            f"this worker computes {feature_set.name} ({feature_set.digest[:12]}); run INGEST and SCORE with one feature set"
        )
    rows = pa.ipc.read_record_batch(pa.py_buffer(value), schema)
    return Batch(rows, _previous(record_headers), position, named.get(arrivals.ARRIVED, b""))


def arrivals_of(rows: pa.RecordBatch, read: Sequence[Batch]) -> Int64:
    """When some of the rows of these batches, whole as they were read, came in (ms), those of which it is said."""
    known = [batch for batch in read if batch.arrived]
    if not known:
        return np.empty(0, np.int64)
    places, times = np.concatenate([_places(batch.rows) for batch in known]), np.concatenate([arrivals.decode(b.arrived) for b in known])
    wanted = _places(rows)
    if np.array_equal(wanted, places):
        return times
    order = np.argsort(places, kind="stable")
    found = np.minimum(np.searchsorted(places, wanted, sorter=order), len(places) - 1)
    found = order[found]
    arrived: Int64 = times[found[places[found] == wanted]]
    return arrived


def _places(rows: pa.RecordBatch) -> Int64:
    """Source and offset of each row as one number."""
    places: Int64 = (rows["source"].to_numpy().astype(np.int64) << 48) | rows["offset"].to_numpy()
    return places


# An IPC message without its schema doesn't say how wide the features are; readers that skip them don't need it.
_ORDER_SCHEMA = pa.schema([*_HEAD, ("user_features", pa.list_(pa.float32(), 1))])


def decode_order(value: bytes, record_headers: Sequence[tuple[str, bytes]], position: tuple[int, int]) -> Batch:
    """A batch of any feature set for those who want only its order: the features of its rows mean nothing."""
    rows = pa.ipc.read_record_batch(pa.py_buffer(value), _ORDER_SCHEMA).select(_HEAD_NAMES)
    return Batch(rows, _previous(record_headers), position)


def _previous(record_headers: Sequence[tuple[str, bytes]]) -> dict[int, int]:
    pairs = (pair.split(":") for pair in dict(record_headers)[PREVIOUS].decode().split(","))
    return {int(source): int(offset) for source, offset in pairs}
