"""``users`` in the archive: a user's profile since when, as Feast's view ``user_profile`` reads it."""

from collections.abc import Sequence

import pyarrow as pa
from msgspec import Struct

from streams.archive.rows.columns import columns_of
from streams.archive.rows.tables import POSITION, REFUSED, TIME, LogPartition, read_all, table_of
from streams.messages.events import User
from streams.messages.record import LogRecord
from streams.messages.topics import USERS
from streams.messages.validation import Validator

_COLUMNS = columns_of(User)
SCHEMA = pa.schema([*POSITION, pa.field("created", TIME), *(column.field for column in _COLUMNS), *REFUSED])
"""``created`` rises with the offset, which orders a user's records of one time: it is that many µs. Of a user who was removed there is the
user_id only, at the record's timestamp."""


class _Removed(Struct):
    """A record without value."""

    user_id: str


def rows(partition: LogPartition, records: Sequence[LogRecord]) -> pa.Table:
    """The rows of all records, by ``SCHEMA``."""
    validator = Validator(USERS.name, partition.number, partition.of, partition.currency)

    def read(record: LogRecord) -> Struct:
        if record.value is not None or record.key is None:
            return validator.user(record)
        return _Removed(validator.removed(record))

    messages, refused = read_all(records, read)
    created = pa.array([record.offset for record in records], pa.int64()).cast(TIME)
    moments = [getattr(message, "updated_at", record.timestamp) for message, record in zip(messages, records, strict=True)]
    return table_of(SCHEMA, partition, records, moments, [created, *(column.array(messages) for column in _COLUMNS)], refused)
