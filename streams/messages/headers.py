"""The words in records' headers."""

from typing import NamedTuple

from streams.messages.record import Record

REPLAY = "aligned"
END_OF_REPLAY = b"end-of-replay"
END_HEADER = ("type", END_OF_REPLAY)
Headers = list[tuple[str, str | bytes | None]]


def headers_of(replay: str, seq: int) -> Headers:
    """The first headers of record ``seq`` of an aligned replay."""
    return [(REPLAY, replay.encode()), ("seq", b"%d" % seq)]


class Mark(NamedTuple):
    """What a record says of the aligned replay it belongs to; ``ended`` if it is the end on its partition."""

    replay: str
    seq: int
    ended: bool


def mark_of(record: Record) -> Mark | None:
    """The record's mark; None if it belongs to no aligned replay."""
    headers = record.headers
    if not headers or headers[0][0] != REPLAY:
        return None
    return Mark(headers[0][1].decode(), int(headers[1][1]), END_HEADER in headers)


def must_be_merged(record: Record) -> bool:
    """Whether the record's place among those of other partitions matters: it is an aligned replay's, and not its end."""
    return bool(record.headers) and record.headers[0][0] == REPLAY and END_HEADER not in record.headers


HEADER = "answer"

LABEL_HEADER = ("type", b"label")
