"""What the archive keeps of each topic: the columns of its table, and how records become rows.

Every record becomes at least one row. What can't be taken for what it should be has the sentence why in ``refused``, and its bytes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from features.definitions import FEATURE_SETS
from streams import scoring_log
from streams.archive_columns import columns_of, settle_times, time_fields
from streams.events import Decision, Label, Transaction
from streams.topics import DECISIONS, LABELS, SCORING_LOG, TRANSACTIONS, Topic
from streams.validation import RefusedError, Validator

_DAY_MS = 86_400_000
# The end of each table's columns, null in rows of records that were taken.
_REFUSED = [pa.field("refused", pa.string()), pa.field("raw_key", pa.binary()), pa.field("raw_value", pa.binary())]
_POSITION = [pa.field("partition", pa.int32()), pa.field("offset", pa.int64()), pa.field("timestamp", pa.int64())]


class KafkaRecord(NamedTuple):
    """A record of some partition; ``timestamp`` in ms."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass(frozen=True)
class LogPartition:
    """What has to be known of a partition to read its records: its number, how many the topic has, the deployment's currency."""

    number: int
    of: int
    currency: str


Rows = Callable[[LogPartition, Sequence[KafkaRecord]], pa.Table]


@dataclass(frozen=True)
class ArchivedTopic:
    """How a topic is archived. ``schema`` are its table's columns; ``rows`` makes them of records of one partition, in order.

    ``at_once`` is how many offsets a batch may take: it bounds the memory, and the work that is done again after a failure.
    """

    topic: Topic
    schema: pa.Schema
    rows: Rows
    at_once: int


def by_day(rows: pa.Table) -> Iterator[tuple[date, pa.Table]]:
    """The rows of each UTC day, in order: of their event_time, or of their timestamp where they have none."""
    moment = rows["timestamp"]
    if "event_time" in rows.column_names:
        moment = pc.coalesce(rows["event_time"], moment)
    days = np.floor_divide(moment.to_numpy(), _DAY_MS)
    for day in np.unique(days).tolist():
        yield datetime.fromtimestamp(day * 86_400, UTC).date(), rows.filter(pa.array(days == day))


def _json(topic: Topic, message: type[Struct], at_once: int) -> ArchivedTopic:
    """A topic with one JSON message a record, all of one type."""
    decode = msgspec.json.Decoder(message).decode
    times = time_fields(message)
    columns = columns_of(message)

    def read(record: KafkaRecord) -> Struct:
        try:
            decoded: Struct = decode(record.value)  # type: ignore[arg-type]
            settle_times(decoded, times)
        except (ValueError, TypeError) as error:  # msgspec's errors, and that of a text that is no UTF-8, are ValueErrors
            raise RefusedError("invalid", "the record has no value" if record.value is None else str(error)) from None
        return decoded

    def rows(partition: LogPartition, records: Sequence[KafkaRecord]) -> pa.Table:
        messages, refused = _read(records, read)
        return _table(schema, partition, records, [column.array(messages) for column in columns], refused)

    schema = pa.schema([*_POSITION, *(column.field for column in columns), *_REFUSED])
    return ArchivedTopic(topic, schema, rows, at_once)


def _read(
    records: Sequence[KafkaRecord], read: Callable[[KafkaRecord], Struct | None]
) -> tuple[list[Struct | None], dict[int, str]]:
    """Each record's message, None where there is none, and the sentences of those refused, by row."""
    messages: list[Struct | None] = []
    refused: dict[int, str] = {}
    for row, record in enumerate(records):
        try:
            messages.append(read(record))
        except RefusedError as error:
            messages.append(None)
            refused[row] = str(error)
    return messages, refused


def _table(
    schema: pa.Schema, partition: LogPartition, records: Sequence[KafkaRecord], columns: Sequence[pa.Array], refused: Mapping[int, str]
) -> pa.Table:
    n = len(records)
    return pa.table(
        [
            np.full(n, partition.number, np.int32),
            pa.array([record.offset for record in records], pa.int64()),
            pa.array([record.timestamp for record in records], pa.int64()),
            *columns,
            pa.array([refused.get(row) for row in range(n)], pa.string()),
            pa.array([record.key if row in refused else None for row, record in enumerate(records)], pa.binary()),
            pa.array([record.value if row in refused else None for row, record in enumerate(records)], pa.binary()),
        ],
        schema=schema,
    )


# --- transactions: also labels, and the ends of replays -----------------------------------------------------------------------------------

_KINDS = {b"label": "label", b"end-of-replay": "end-of-replay"}
_TRANSACTION_COLUMNS = columns_of(Transaction)
_LABEL_COLUMNS = [column for column in columns_of(Label) if column.field.name not in Transaction.__struct_fields__]
_TRANSACTIONS_SCHEMA = pa.schema(
    [
        *_POSITION,
        pa.field("kind", pa.string()),
        pa.field("seq", pa.int64()),
        *(column.field for column in (*_TRANSACTION_COLUMNS, *_LABEL_COLUMNS)),
        *_REFUSED,
    ]
)


def _transaction_rows(partition: LogPartition, records: Sequence[KafkaRecord]) -> pa.Table:
    """``kind`` is transaction, label, end-of-replay or refused, as INGEST takes them; ``seq`` is the place in a replay, if there is one."""
    validator = Validator(TRANSACTIONS.name, partition.number, partition.of, partition.currency)
    headers = [dict(record.headers) for record in records]
    kinds = [_KINDS.get(header.get("type", b""), "transaction") for header in headers]
    kind_of = dict(zip((record.offset for record in records), kinds, strict=True))

    def read(record: KafkaRecord) -> Struct | None:
        kind = kind_of[record.offset]
        if kind == "end-of-replay":
            return None
        return validator.label(record) if kind == "label" else validator.transaction(record)

    messages, refused = _read(records, read)
    columns = [
        pa.array(["refused" if row in refused else kind for row, kind in enumerate(kinds)], pa.string()),
        pa.array([_seq(header.get("seq")) for header in headers], pa.int64()),
        *(column.array(messages) for column in (*_TRANSACTION_COLUMNS, *_LABEL_COLUMNS)),
    ]
    return _table(_TRANSACTIONS_SCHEMA, partition, records, columns, refused)


def _seq(text: bytes | None) -> int | None:
    return int(text) if text is not None and text.isdigit() and len(text) <= 18 else None


# --- scoring-log: a record has many rows --------------------------------------------------------------------------------------------------

_FEATURES = tuple(dict.fromkeys(name for feature_set in FEATURE_SETS.values() for name in feature_set.names))
_NAMES = {feature_set.digest: feature_set.names for feature_set in FEATURE_SETS.values()}
_SCORING_LOG_SCHEMA = pa.schema(
    [
        *_POSITION,
        pa.field("row", pa.int32()),
        *scoring_log.COLUMNS,
        *(pa.field(name, pa.float32()) for name in _FEATURES),
        pa.field("vector", pa.list_(pa.float32())),
        *_REFUSED,
    ]
)


def _scoring_log_rows(partition: LogPartition, records: Sequence[KafkaRecord]) -> pa.Table:
    """``row`` is the place in the record. A vector of features that this program doesn't know stays whole, in ``vector``."""
    tables = [_SCORING_LOG_SCHEMA.empty_table()]
    for record in records:
        try:
            tables += [_vectors_spread(partition, record, part) for part in _parts(scoring_log.decode(record.value or b""))]
        except (pa.ArrowException, KeyError) as error:
            refused = [str(error)], [record.key], [record.value]
            given = [partition.number], [record.offset], [record.timestamp], *refused
            names = [field.name for field in (*_POSITION, *_REFUSED)]
            tables.append(_completed({name: pa.array(values, _SCORING_LOG_SCHEMA.field(name).type) for name, values in zip(names, given, strict=True)}, 1))
    return pa.concat_tables(tables).combine_chunks()


def _parts(decoded: pa.Table) -> list[pa.Table]:
    """The rows of each feature digest, with their places in the record as ``row``."""
    numbered = decoded.append_column("row", pa.array(np.arange(len(decoded), dtype=np.int32)))
    digests = pc.unique(numbered["features_digest"].cast(pa.string())).to_pylist()
    if len(digests) == 1:
        return [numbered]
    return [numbered.filter(pc.equal(numbered["features_digest"].cast(pa.string()), digest)) for digest in digests]


def _vectors_spread(partition: LogPartition, record: KafkaRecord, part: pa.Table) -> pa.Table:
    n = len(part)
    columns = {name: part[name] for name in ("row", *scoring_log.COLUMNS.names) if name in part.column_names}
    for name, value in (("partition", partition.number), ("offset", record.offset), ("timestamp", record.timestamp)):
        columns[name] = pa.array(np.full(n, value), _SCORING_LOG_SCHEMA.field(name).type)
    vectors = part["vector"].combine_chunks()
    names = _NAMES.get(part["features_digest"][0].as_py(), ()) if n else ()
    if len(names) == vectors.type.list_size:
        matrix = vectors.flatten().to_numpy().reshape(n, len(names))
        columns |= {name: pa.array(np.ascontiguousarray(matrix[:, j])) for j, name in enumerate(names)}
    else:
        columns["vector"] = vectors
    return _completed(columns, n)


def _completed(columns: Mapping[str, pa.Array], rows: int) -> pa.Table:
    """The table of ``scoring-log`` with these columns, the others null."""
    return pa.table(
        [columns[field.name].cast(field.type) if field.name in columns else pa.nulls(rows, field.type) for field in _SCORING_LOG_SCHEMA],
        schema=_SCORING_LOG_SCHEMA,
    )


_MESSAGES_AT_ONCE = 400_000
_BATCHES_AT_ONCE = 400

ARCHIVED: Mapping[str, ArchivedTopic] = {
    archived.topic.name: archived
    for archived in (
        ArchivedTopic(TRANSACTIONS, _TRANSACTIONS_SCHEMA, _transaction_rows, _MESSAGES_AT_ONCE),
        _json(LABELS, Label, _MESSAGES_AT_ONCE),
        _json(DECISIONS, Decision, _MESSAGES_AT_ONCE),
        ArchivedTopic(SCORING_LOG, _SCORING_LOG_SCHEMA, _scoring_log_rows, _BATCHES_AT_ONCE),
    )
}
