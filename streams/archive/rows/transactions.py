"""``transactions`` in the archive: transactions, labels and the ends of replays, each taken for what INGEST takes it for."""

from collections.abc import Sequence

import pyarrow as pa
from msgspec import Struct

from streams.archive.rows.columns import columns_of
from streams.archive.rows.tables import POSITION, REFUSED, LogPartition, read_all, table_of
from streams.messages.events import Label, Transaction
from streams.messages.headers import Envelope, seq_of
from streams.messages.record import LogRecord
from streams.messages.seal import Seal
from streams.messages.topics import TRANSACTIONS
from streams.messages.validation import Validator

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
    validator = Validator(TRANSACTIONS.name, partition.number, partition.of, partition.currency, Seal(partition.answer_key))
    kinds = [_kind(validator.opened(record)) if record.headers else "transaction" for record in records]
    kind_of = dict(zip((record.offset for record in records), kinds, strict=True))

    def read(record: LogRecord) -> Struct | None:
        kind = kind_of[record.offset]
        if kind == "end-of-replay":
            return None
        return validator.label(record) if kind == "label" else validator.transaction(record)

    messages, refused = read_all(records, read)
    columns = [
        pa.array(["refused" if row in refused else kind for row, kind in enumerate(kinds)], pa.string()),
        pa.array([seq_of(record) for record in records], pa.int64()),
        *(column.array(messages) for column in (*_TRANSACTION_COLUMNS, *_LABEL_COLUMNS)),
    ]
    moments = [getattr(message, "event_time", record.timestamp) for message, record in zip(messages, records, strict=True)]
    return table_of(SCHEMA, partition, records, moments, columns, refused)


def _kind(envelope: Envelope) -> str:
    return "end-of-replay" if envelope.ends else "label" if envelope.is_label else "transaction"
