"""``transactions`` in the archive: transactions, labels and the ends of replays, each taken for what INGEST takes it for."""

from collections.abc import Sequence

import pyarrow as pa
from msgspec import Struct

from streams.archive.rows.columns import columns_of
from streams.archive.rows.tables import POSITION, REFUSED, LogPartition, read_all, table_of
from streams.messages.events import Label, Transaction
from streams.messages.headers import END_OF_REPLAY
from streams.messages.record import LogRecord
from streams.messages.topics import TRANSACTIONS
from streams.messages.validation import Validator

_KINDS = {b"label": "label", END_OF_REPLAY: "end-of-replay"}
_TRANSACTION_COLUMNS = columns_of(Transaction)
_LABEL_COLUMNS = [column for column in columns_of(Label) if column.field.name not in Transaction.__struct_fields__]
SCHEMA = pa.schema(
    [
        *POSITION,
        pa.field("kind", pa.string()),
        pa.field("seq", pa.int64()),
        *(column.field for column in (*_TRANSACTION_COLUMNS, *_LABEL_COLUMNS)),
        *REFUSED,
    ]
)


def rows(partition: LogPartition, records: Sequence[LogRecord]) -> pa.Table:
    """``kind`` is transaction, label, end-of-replay or refused, as INGEST takes them; ``seq`` is the place in a replay, if there is one."""
    validator = Validator(TRANSACTIONS.name, partition.number, partition.of, partition.currency)
    headers = [dict(record.headers) for record in records]
    kinds = [_KINDS.get(header.get("type", b""), "transaction") for header in headers]
    kind_of = dict(zip((record.offset for record in records), kinds, strict=True))

    def read(record: LogRecord) -> Struct | None:
        kind = kind_of[record.offset]
        if kind == "end-of-replay":
            return None
        return validator.label(record) if kind == "label" else validator.transaction(record)

    messages, refused = read_all(records, read)
    columns = [
        pa.array(["refused" if row in refused else kind for row, kind in enumerate(kinds)], pa.string()),
        pa.array([_seq(header.get("seq")) for header in headers], pa.int64()),
        *(column.array(messages) for column in (*_TRANSACTION_COLUMNS, *_LABEL_COLUMNS)),
    ]
    moments = [getattr(message, "event_time", record.timestamp) for message, record in zip(messages, records, strict=True)]
    return table_of(SCHEMA, partition, records, moments, columns, refused)


def _seq(text: bytes | None) -> int | None:
    return int(text) if text is not None and text.isdigit() and len(text) <= 18 else None
