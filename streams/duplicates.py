"""Which transactions a partition has taken lately, so that one sent again is not counted, decided or believed again.

A transaction is known by its user and id. The memory is bounded by age and number; what falls out of it would be taken as new. All follows
from the log alone: age is measured in the records' Kafka timestamps.
"""

import hashlib
from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from streams.events import Transaction, encode

MINUTE_MS = 60_000

_SEGMENTS = 8


class Seen(Enum):
    """What the memory says of a transaction; CONFLICT: the id is known, with other content."""

    NEW = "new"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


@dataclass(slots=True)
class _Segment:
    """Some neighbours in the log: content and source offset (8 bytes each) by identity; a segment is forgotten as a whole."""

    begun: int
    newest: int
    contents: dict[bytes, bytes] = field(default_factory=dict)


class TransactionMemory:
    """The transactions taken from one source partition: at least those of the last ``age`` ms of log time, unless they are more than
    ``most``; then the oldest are forgotten, an eighth of ``most`` at a time. An entry takes some 200 bytes.
    """

    def __init__(self, age: int = 60 * MINUTE_MS, most: int = 1_000_000) -> None:
        self._age = age
        self._span = max(1, age // _SEGMENTS)
        self._room = max(1, most // _SEGMENTS)
        self._segments: deque[_Segment] = deque()

    def __len__(self) -> int:
        return sum(len(segment.contents) for segment in self._segments)

    def take(self, transaction: Transaction, offset: int, timestamp: int) -> Seen:
        """Notes a valid transaction (event_time in ms) and says whether it was taken before.

        ``offset`` and ``timestamp`` (ms) are its record's. The same record may be asked about again, and is what it was.
        """
        self._forget(timestamp)
        identity, content = _identity(transaction), _content(transaction)
        for segment in self._segments:
            known = segment.contents.get(identity)
            if known is not None:
                if int.from_bytes(known[8:], "big") == offset:
                    return Seen.NEW
                return Seen.DUPLICATE if known[:8] == content else Seen.CONFLICT
        self._segments[-1].contents[identity] = content + offset.to_bytes(8, "big")
        return Seen.NEW

    def _forget(self, timestamp: int) -> None:
        """Drops what is too old at this time, and opens the segment that a new transaction belongs in."""
        segments = self._segments
        while segments and segments[0].newest < timestamp - self._age:
            segments.popleft()
        if not segments or timestamp >= segments[-1].begun + self._span or len(segments[-1].contents) >= self._room:
            segments.append(_Segment(timestamp, timestamp))
            while sum(len(segment.contents) for segment in segments) > (_SEGMENTS - 1) * self._room:
                segments.popleft()
        segments[-1].newest = max(segments[-1].newest, timestamp)


def _identity(transaction: Transaction) -> bytes:
    name = f"{len(transaction.user_id)} {transaction.user_id}{transaction.transaction_id}"
    return hashlib.blake2b(name.encode(), digest_size=16).digest()


def _content(transaction: Transaction) -> bytes:
    """Of all fields, whatever their order and spelling on the wire."""
    return hashlib.blake2b(encode(transaction), digest_size=8).digest()
