"""``scoring-log`` in the archive: a row for each decision, and each vector spread over a column a feature."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions import FEATURE_SETS
from streams.archive.rows.tables import POSITION, REFUSED, LogPartition, times
from streams.blame import is_the_processes
from streams.messages import scoring_log
from streams.messages.record import LogRecord
from streams.messages.seal import Seal
from streams.messages.topics import SCORING_LOG

# The feature of that name has the amount as the model saw it, as float32.
_RENAMED = {"amount": "amount_minor"}
_FEATURES = tuple(dict.fromkeys(name for feature_set in FEATURE_SETS.values() for name in feature_set.names))
_NAMES = {feature_set.digest: feature_set.names for feature_set in FEATURE_SETS.values()}
SCHEMA = pa.schema(
    [
        *POSITION,
        pa.field("row", pa.int32()),
        *(column.with_name(_RENAMED.get(column.name, column.name)) for column in scoring_log.COLUMNS),
        *(pa.field(name, pa.float32()) for name in _FEATURES),
        pa.field("vector", pa.list_(pa.float32())),
        *REFUSED,
    ]
)
"""``row`` is the place in the record. A feature that is not of the row's feature set (``features_digest``) is null, one without a value is
NaN. A vector of a feature set that this program doesn't know stays whole, in ``vector``."""


def rows(partition: LogPartition, records: Sequence[LogRecord]) -> pa.Table:
    """The rows of all records, by ``SCHEMA``."""
    tables, seal = [SCHEMA.empty_table()], Seal(partition.answer_key)
    for record in records:
        try:
            if not seal.is_ours(SCORING_LOG.name, partition.number, record):
                raise KeyError("this deployment did not write the record")
            tables += [_completed(partition, record, _spread(part), len(part)) for part in _parts(record)]
        except (pa.ArrowException, KeyError) as error:
            if is_the_processes(error):
                raise
            tables.append(_completed(partition, record, {"refused": [str(error)], "raw_key": [record.key], "raw_value": [record.value]}, 1))
    return pa.concat_tables(tables).combine_chunks()


def _parts(record: LogRecord) -> Iterator[pa.Table]:
    """The record's rows of each features_digest, each row with its place in the record."""
    decoded = scoring_log.decode(record.value or b"")
    decoded = decoded.append_column("row", pa.array(np.arange(len(decoded), dtype=np.int32)))
    digests = decoded["features_digest"].cast(pa.string())
    for digest in pc.unique(digests).to_pylist():
        yield decoded.filter(pc.equal(digests, digest))


def _spread(part: pa.Table) -> dict[str, pa.ChunkedArray | pa.Array]:
    columns = {_RENAMED.get(name, name): part[name] for name in part.column_names}
    vectors = columns.pop("vector").combine_chunks()
    names = _NAMES.get(part["features_digest"][0].as_py(), ())
    if len(names) != vectors.type.list_size:
        return {**columns, "vector": vectors}
    matrix = vectors.flatten().to_numpy().reshape(len(part), len(names))
    return columns | {name: pa.array(np.ascontiguousarray(matrix[:, place])) for place, name in enumerate(names)}


def _completed(partition: LogPartition, record: LogRecord, columns: Mapping[str, Any], rows: int) -> pa.Table:
    """The table of some of one record's rows, the columns not given null."""
    position = {"partition": partition.number, "offset": record.offset, "timestamp": record.timestamp}
    moments = columns["event_time"].to_numpy() if "event_time" in columns else [record.timestamp]
    given = {**columns, **{name: np.full(rows, value) for name, value in position.items()}, "event_timestamp": times(moments)}
    return pa.table([_array(given.get(column.name), column.type, rows) for column in SCHEMA], schema=SCHEMA)


def _array(values: object, kind: pa.DataType, rows: int) -> pa.Array | pa.ChunkedArray:
    if values is None:
        return pa.nulls(rows, kind)
    return values.cast(kind) if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, kind)
