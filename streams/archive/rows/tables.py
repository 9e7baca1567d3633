"""What the archive keeps of a topic: the columns of its table, and how records become rows.

Every record becomes at least one row. What can't be taken for what it should be has the sentence why in ``refused``, and its bytes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from msgspec import Struct

from features.times import EARLIEST_MS, LATEST_MS
from streams.archive.rows.columns import columns_of
from streams.blame import is_the_processes, refusal
from streams.messages.record import LogRecord
from streams.messages.refusals import RefusedError, readable
from streams.messages.topics import Topic

Message = TypeVar("Message", bound=Struct)

_DAY_US = 86_400_000_000
TIME = pa.timestamp("us", "UTC")
POSITION = (
    pa.field("partition", pa.int32()),
    pa.field("offset", pa.int64()),
    pa.field("timestamp", pa.int64()),
    pa.field("event_timestamp", TIME),
)
"""Where every table begins: the record's partition, offset and Kafka timestamp (ms), and when it happened: its own time, for Feast, and for
its day; the Kafka timestamp where it has none."""
REFUSED = (pa.field("refused", pa.string()), pa.field("raw_key", pa.binary()), pa.field("raw_value", pa.binary()))
"""Where every table ends; null in rows of records that were taken."""


@dataclass(frozen=True)
class LogPartition:
    """What has to be known of a partition to read its records: its number, how many the topic has, the deployment's currency and key."""

    number: int
    of: int
    currency: str
    answer_key: str = field(default="", repr=False)


Rows = Callable[[LogPartition, Sequence[LogRecord]], pa.Table]


@dataclass(frozen=True)
class ArchivedTopic:
    """How a topic is archived. ``schema`` are its table's columns; ``rows`` makes them of records of one partition, in order.

    ``at_once`` is how many offsets a batch may take: it bounds the memory, and the work that is done again after a failure.
    """

    topic: Topic
    schema: pa.Schema
    rows: Rows
    at_once: int


# What Python's dates have, years 1 to 9999.
_CALENDAR_MS = (-62_135_596_800_000, 253_402_300_799_999)


def by_day(rows: pa.Table) -> Iterator[tuple[date, pa.Table]]:
    """The rows of each UTC day, in order."""
    days = np.floor_divide(rows["event_timestamp"].cast(pa.int64()).to_numpy(), _DAY_US)
    for day in np.unique(days).tolist():
        yield datetime.fromtimestamp(day * 86_400, UTC).date(), rows.filter(pa.array(days == day))


def times(moments: Sequence[int] | npt.NDArray[np.int64]) -> pa.Array:
    """Times in ms as timestamps. A record of nobody's may be stamped outside of the calendar; it is filed under its first or last day."""
    return pa.array(np.asarray(moments, np.int64).clip(*_CALENDAR_MS) * 1_000).cast(TIME)


def json_topic(
    topic: Topic,
    message: type[Message],
    decode: Callable[[bytes], Message],
    at_once: int,
    check: Callable[[Message, LogRecord], None] = lambda _message, _record: None,
) -> ArchivedTopic:
    """How a topic is archived that has one JSON message a record, all of one type: a column for each field. ``decode`` raises as what
    ``readable`` reads with, ``check`` raises RefusedError for a message that doesn't count."""
    columns = columns_of(message)

    def read(record: LogRecord) -> Message:
        decoded = readable(record.value, decode)
        check(decoded, record)
        if not EARLIEST_MS <= getattr(decoded, "event_time", EARLIEST_MS) <= LATEST_MS:
            raise RefusedError("invalid", "event_time lies outside 1973 to 2286")
        return decoded

    def read_fitting(record: LogRecord) -> Message:
        decoded = read(record)
        try:
            for column in columns:
                column.array([decoded])
        except (OverflowError, pa.ArrowException) as error:
            if is_the_processes(error):
                raise
            raise RefusedError("invalid", f"a value fits no column: {error}") from None
        return decoded

    def rows(partition: LogPartition, records: Sequence[LogRecord]) -> pa.Table:
        try:
            messages, refused = read_all(records, read)
            arrays = [column.array(messages) for column in columns]
        except (OverflowError, pa.ArrowException) as error:
            if is_the_processes(error):
                raise
            messages, refused = read_all(records, read_fitting)
            arrays = [column.array(messages) for column in columns]
        moments = [getattr(message, "event_time", record.timestamp) for message, record in zip(messages, records, strict=True)]
        return table_of(schema, partition, records, moments, arrays, refused)

    schema = pa.schema([*POSITION, *(column.field for column in columns), *REFUSED])
    return ArchivedTopic(topic, schema, rows, at_once)


def read_all(records: Sequence[LogRecord], read: Callable[[LogRecord], Struct | None]) -> tuple[list[Struct | None], dict[int, str]]:
    """Each record's message, None where there is none, and the sentences of those refused, by row: also of one on which reading fails in
    any other way, unless the process is to blame (``streams/blame.py``)."""
    messages: list[Struct | None] = []
    refused: dict[int, str] = {}
    for row, record in enumerate(records):
        try:
            messages.append(read(record))
        except RefusedError as error:
            messages.append(None)
            refused[row] = str(error)
        except Exception as error:
            messages.append(None)
            refused[row] = str(refusal(error, "the archive"))
    return messages, refused


def table_of(
    schema: pa.Schema,
    partition: LogPartition,
    records: Sequence[LogRecord],
    moments: Sequence[int],
    columns: Sequence[pa.Array],
    refused: Mapping[int, str],
) -> pa.Table:
    """The table of records that make a row each: their positions, their own times (ms), these columns, and what was refused, by row."""
    n = len(records)
    return pa.table(
        [
            np.full(n, partition.number, np.int32),
            pa.array([record.offset for record in records], pa.int64()),
            pa.array([record.timestamp for record in records], pa.int64()),
            times(moments),
            *columns,
            pa.array([refused.get(row) for row in range(n)], pa.string()),
            pa.array([record.key if row in refused else None for row, record in enumerate(records)], pa.binary()),
            pa.array([record.value if row in refused else None for row, record in enumerate(records)], pa.binary()),
        ],
        schema=schema,
    )
