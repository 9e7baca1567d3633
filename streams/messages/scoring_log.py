"""The records of ``scoring-log``: for each decision the vector it rested on and where everything came from, as Arrow IPC streams."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from features.arrays import Float32, Float64, Int64
from streams.messages.answer import Answer

COLUMNS = pa.schema(
    [
        *((name, pa.string()) for name in ("transaction_id", "user_id", "merchant_id")),
        *((name, pa.int64()) for name in ("event_time", "amount")),
        ("probability", pa.float64()),
        *((name, pa.int32()) for name in ("source_partition", "log_partition", "user_state_partition", "merchant_state_partition")),
        *((name, pa.int64()) for name in ("source_offset", "log_offset", "user_state_offset", "merchant_state_offset")),
        *((name, pa.string()) for name in ("origin", "variant", "model_version", "model_digest", "policy_digest", "features_digest")),
        ("code_digest", pa.string()),
        ("control_revision", pa.int64()),
    ]
)
"""What a row says beside its ``vector``; columns with few distinct values come as dictionaries of these."""

# About 300 bytes a row, well below what a broker takes by default.
_ROWS = 2_000


def encode(
    rows: pa.RecordBatch,
    position: Int64,
    vectors: Float32,
    probability: Float64,
    shared: Mapping[str, str | int],
    given: Mapping[int, Answer],
) -> list[bytes]:
    """Arrow streams of at most 2,000 rows each.

    ``position`` is each row's (partition, offset) on transactions.by-merchant (n × 2), ``shared`` what the stream's own decisions have in
    common. Where the API answered (``given``, by row), ``user_state_*`` and ``merchant_state_*`` say which states it read; else they are
    null, for the stream's states are those of the log up to source and position.
    """
    n = len(rows)
    states = [[None] * n for _ in range(4)]
    revision = np.full(n, shared["control_revision"], np.int64)
    for i, answered in given.items():
        read = (
            answered.user_state.partition,
            answered.user_state.offset,
            answered.merchant_state.partition,
            answered.merchant_state.offset,
        )
        for column, value in zip(states, read, strict=True):
            column[i] = value  # type: ignore[call-overload]
        revision[i] = answered.decision.control_revision
    own = shared if len(given) < n else {}
    columns = {
        **{name: rows[name] for name in ("transaction_id", "event_time", "user_id", "merchant_id", "amount")},
        "probability": pa.array(probability),
        "source_partition": rows["source"],
        "source_offset": rows["offset"],
        "log_partition": pa.array(position[:, 0].astype(np.int32)),
        "log_offset": pa.array(position[:, 1]),
        "user_state_partition": pa.array(states[0], pa.int32()),
        "user_state_offset": pa.array(states[1], pa.int64()),
        "merchant_state_partition": pa.array(states[2], pa.int32()),
        "merchant_state_offset": pa.array(states[3], pa.int64()),
        **{
            name: _named(n, own.get(name), {i: getattr(answered.decision, name) for i, answered in given.items()})
            for name in ("origin", "variant", "model_version", "model_digest", "policy_digest", "features_digest")
        },
        "code_digest": _named(n, own.get("code_digest"), {i: answered.code_digest for i, answered in given.items()}),
        "control_revision": pa.array(revision),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1]),
    }
    batch = pa.RecordBatch.from_pydict(columns)
    return [_stream(batch.slice(begin, _ROWS)) for begin in range(0, len(batch), _ROWS)]


def decode(value: bytes) -> pa.Table:
    """The rows of one record; ``code_digest`` is "" in those from before that was logged."""
    with pa.ipc.open_stream(value) as stream:
        rows = stream.read_all()
    if "code_digest" not in rows.schema.names:
        rows = rows.append_column("code_digest", pa.array([""] * len(rows)).dictionary_encode())
    return rows


def vectors(rows: pa.Table) -> Float32:
    """The rows' vectors: float32, n × features."""
    flat = rows["vector"].combine_chunks().flatten().to_numpy()
    return np.asarray(flat.reshape(len(rows), -1 if len(rows) else rows.schema.field("vector").type.list_size))


def _named(n: int, own: str | int | None, others: Mapping[int, str]) -> pa.DictionaryArray:
    """A column with few distinct values: one for all that the stream decided, and those of the API's answers."""
    codes = np.zeros(n, np.int16)
    places: dict[str | int, int] = {} if own is None else {own: 0}
    for i, value in others.items():
        codes[i] = places.setdefault(value, len(places))
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(list(places), pa.string()))


def _stream(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())
