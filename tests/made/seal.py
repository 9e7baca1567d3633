"""The key of every deployment that tests bring up, and what it seals."""

from collections.abc import Sequence

from msgspec import structs

from streams.messages.headers import Mark, MarkKind, answer_header, label_header, mark_header
from streams.messages.record import LogRecord
from streams.messages.seal import Seal

ANSWER_KEY = "the key of deployments that tests bring up"
SEAL = Seal(ANSWER_KEY)


def sealed(topic: str, record: LogRecord, partition: int = 0) -> LogRecord:
    """The record as one of ours on that partition of a topic that only we write."""
    headers: Sequence[tuple[str, bytes]] = record.headers
    return structs.replace(record, headers=[*headers, SEAL.header(topic, partition, record.key, record.value, headers)])


def marked(record: LogRecord, replay: str, seq: int, partition: int) -> LogRecord:
    """The record as one of an aligned replay, at this place in it, on the partition."""
    return structs.replace(record, headers=[mark_header(SEAL, Mark(replay, seq), partition, record.key, record.value), *record.headers])


def last_mark(offset: int, replay: str, seq: int, partition: int = 0, kind: MarkKind = MarkKind.END) -> LogRecord:
    """The record that says on a partition that nothing of an aligned replay follows."""
    return LogRecord(offset, 0, None, None, [mark_header(SEAL, Mark(replay, seq, kind), partition)])


def copied(record: LogRecord) -> LogRecord:
    """A label's record as it is copied onto its user's log."""
    return structs.replace(record, headers=[label_header(SEAL, record.key, record.value)])


def answered(record: LogRecord, encoded: bytes) -> LogRecord:
    """The record of a transaction with this answer of the API."""
    return structs.replace(record, headers=[answer_header(SEAL, record.key or b"", record.value or b"", encoded)])
