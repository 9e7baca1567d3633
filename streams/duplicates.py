"""Which transactions a partition has taken lately, so that one sent again is not counted, decided or believed again.

A transaction is known by its user and id. The memory is bounded by age and number; what falls out of it would be taken as new. All follows
from the log alone: age is measured in the records' Kafka timestamps.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from zlib import crc32

from streams.events import Transaction, encode

MINUTE_MS = 60_000

_SEGMENTS = 8


class Seen(Enum):
    """What the memory says of a transaction that it knows; CONFLICT: with other content."""

    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


@dataclass(slots=True)
class _Segment:
    """Neighbours in the log, which are forgotten together; ``begun`` is the log time of the first, in ms."""

    begun: int
    identities: list[str] = field(default_factory=list)


class TransactionMemory:
    """The transactions taken from one source partition: at least those of the last ``age`` ms of log time, unless they are more than
    ``most``; then the oldest are forgotten, an eighth of ``most`` at a time. An entry takes some 200 bytes.
    """

    def __init__(self, age: int = 60 * MINUTE_MS, most: int = 1_000_000) -> None:
        self._age = age
        self._span = max(1, age // _SEGMENTS)
        self._room = max(1, most // _SEGMENTS)
        self._segments = deque([_Segment(0)])
        # The source offset and a checksum of the content, by identity.
        self._taken: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, transactions: Sequence[Transaction], offsets: Sequence[int], timestamps: Sequence[int]) -> list[tuple[int, Seen]]:
        """Notes valid transactions (event_time in ms), in log order; returns the places of those taken before.

        ``offsets`` and ``timestamps`` (ms) are their records'. The same record may come again, and is what it was.
        """
        found = []
        segment, note = self._segments[-1], self._taken.setdefault
        for i, (transaction, offset, timestamp) in enumerate(zip(transactions, offsets, timestamps, strict=True)):
            if timestamp >= segment.begun + self._span or len(segment.identities) >= self._room:
                segment = self._next_segment(timestamp)
            # The length keeps apart what would read the same put together.
            identity = f"{len(transaction.user_id)} {transaction.user_id}{transaction.transaction_id}"
            # Of all fields, whatever their order and spelling on the wire.
            entry = offset << 32 | crc32(encode(transaction))
            known = note(identity, entry)
            if known is entry:
                segment.identities.append(identity)
            elif known >> 32 != offset:
                found.append((i, Seen.CONFLICT if (known ^ entry) & 0xFFFFFFFF else Seen.DUPLICATE))
        return found

    def _next_segment(self, timestamp: int) -> _Segment:
        """Begins a segment at this log time, once what is too old or too much by then is forgotten."""
        segments = self._segments
        while segments and (segments[0].begun + self._span <= timestamp - self._age or len(self._taken) > (_SEGMENTS - 1) * self._room):
            for identity in segments.popleft().identities:
                del self._taken[identity]
        segments.append(_Segment(timestamp))
        return segments[-1]
