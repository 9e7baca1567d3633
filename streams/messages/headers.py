"""Headers that are ours. Their names are reserved, and what decides anything counts only with a seal that holds (``seal.py``).

Whatever else a record's headers are, and whatever stands under a reserved name without a seal, is ignored: the record is taken as if it
weren't there.
"""

import struct
from enum import Enum
from typing import NamedTuple

from streams.messages.record import Record, SourcePosition
from streams.messages.seal import RESERVED, SIZE, Seal

ANSWER, LABEL, REPLAY = "tidemark-answer", "tidemark-label", "tidemark-replay"
SEQ, SENT_AT = "tidemark-seq", "tidemark-sent-at"
"""Of a replay's records, decimal: the place in it, and when it was due (ms UTC). They inform; nothing is decided by them."""

Header = tuple[str, bytes]
_ORIGIN = struct.Struct(">iq")
_NO_ORIGIN = (-1, -1)


class MarkKind(Enum):
    """What a mark says of its record: it is one of the replay's, the replay's end on its partition, or that nobody will end it."""

    RECORD = "record"
    END = "end"
    ABANDONED = "abandoned"


class Mark(NamedTuple):
    """What a record says of the aligned replay it belongs to: the replay's name and the place in it."""

    replay: str
    seq: int
    kind: MarkKind = MarkKind.RECORD

    @property
    def is_last(self) -> bool:
        """Whether nothing of the replay follows on the partition."""
        return self.kind is not MarkKind.RECORD


class Envelope(NamedTuple):
    """What genuine headers say of a record of ``transactions``.

    ``origin`` is the place on ``labels`` of a label that was copied from there, ``answer`` what the API gave, as bytes; ``ends`` whether
    the record is no more than a replay's last mark; ``ignored`` whether a reserved name stood there without a seal that holds.
    """

    is_label: bool = False
    origin: SourcePosition | None = None
    answer: bytes | None = None
    ends: bool = False
    ignored: bool = False


def answer_header(seal: Seal, key: bytes, value: bytes, answer: bytes) -> Header:
    """The header by which the stream repeats ``answer`` to the transaction in ``value``."""
    return ANSWER, seal.of(b"answer", key, value, answer) + answer


def label_header(seal: Seal, key: bytes | None, value: bytes | None, origin: SourcePosition | None = None) -> Header:
    """The header of a label on ``transactions``; ``origin`` is its place on ``labels`` if it was copied from there."""
    origin_bytes = _ORIGIN.pack(*(origin or _NO_ORIGIN))
    return LABEL, origin_bytes + seal.of(b"label", key, value, origin_bytes)


def mark_header(seal: Seal, mark: Mark, partition: int, key: bytes | None = None, value: bytes | None = None) -> Header:
    """The header of a record of an aligned replay, which counts on this partition. The last one there has neither key nor value."""
    text = f"{mark.replay}:{mark.seq}:{mark.kind.value}:".encode()
    return REPLAY, text + seal.of(b"mark", text, key, value, b"%d" % partition).hex().encode()


def mark_of(record: Record, partition: int, seal: Seal) -> Mark | None:
    """The record's mark; None if it has none that is genuine."""
    if not record.headers:
        return None
    given = dict(record.headers).get(REPLAY)
    if given is None:
        return None
    text, _, hexadecimal = given.rpartition(b":")
    try:
        name, seq, kind = text.decode().split(":")
        mark, made = Mark(name, int(seq), MarkKind(kind)), bytes.fromhex(hexadecimal.decode())
    except ValueError:
        return None
    if mark.is_last != (record.value is None):
        return None
    return mark if seal.holds(made, b"mark", text + b":", record.key, record.value, b"%d" % partition) else None


def seq_of(record: Record) -> int | None:
    """The place in a replay that the record's headers state, genuine or not; None if they state none."""
    given = dict(record.headers)
    text = given.get(SEQ)
    if text is None and given.get(REPLAY) is not None:
        parts = given[REPLAY].split(b":")
        text = parts[1] if len(parts) > 1 else None
    return int(text) if text is not None and text.isdigit() and len(text) <= 18 else None


def opened(record: Record, partition: int, seal: Seal) -> Envelope:
    """What the headers of a record of a partition of ``transactions`` say."""
    given = {name: content for name, content in record.headers if name.startswith(RESERVED)}
    if not given:
        return Envelope()
    label, answer = given.get(LABEL), given.get(ANSWER)
    if label is not None:
        origin = label[: _ORIGIN.size]
        if seal.holds(label[_ORIGIN.size :], b"label", record.key, record.value, origin):
            place = _ORIGIN.unpack(origin)
            return Envelope(is_label=True, origin=None if place == _NO_ORIGIN else place)
    if answer is not None and seal.holds(answer[:SIZE], b"answer", record.key, record.value, answer[SIZE:]):
        return Envelope(answer=answer[SIZE:])
    # A record with a value is taken whatever its mark says of its place, so only one without is worth the check.
    if record.value is None and mark_of(record, partition, seal) is not None:
        return Envelope(ends=True)
    return Envelope(ignored=not given.keys() <= {SEQ, SENT_AT, REPLAY})
