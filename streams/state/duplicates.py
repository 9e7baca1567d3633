"""Which transactions a partition has taken lately, so that one sent again is not counted, decided or believed again.

A transaction is known by its user and id. The memory is bounded by age and number; what falls out of it would be taken as new. All follows
from the log alone: age is measured in the records' Kafka timestamps.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple
from zlib import crc32

from streams.messages.events import Transaction, encode

MINUTE_MS = 60_000

_SEGMENTS = 8
# A Kafka record each; an identity has two ids of at most 256 characters.
_MOST_IN_PIECE = 1_000


class Sighting(Enum):
    """What the memory says of a transaction that it knows; CONFLICT: with other content."""

    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


class Piece(NamedTuple):
    """Part of the memory as it is saved: neighbours in the log, of one segment, after those of the pieces with lower numbers.

    ``begun`` is the log time (ms) at which the segment begins; identities and checksums go together.
    """

    segment: int
    number: int
    begun: int
    identities: list[str]
    checksums: list[int]


@dataclass(slots=True)
class _Segment:
    """Neighbours in the log, which are forgotten together."""

    number: int
    begun: int
    identities: list[str] = field(default_factory=list)
    pieces: int = 0
    saved: int = 0


class TransactionMemory:
    """The transactions taken from one source partition: at least those of the last ``age`` ms of log time, unless they are more than
    ``most``; then the oldest are forgotten, an eighth of ``most`` at a time. An entry takes some 200 bytes.
    """

    def __init__(self, age: int = 60 * MINUTE_MS, most: int = 1_000_000) -> None:
        self._age = age
        self._span = max(1, age // _SEGMENTS)
        self._room = max(1, most // _SEGMENTS)
        self._segments = deque([_Segment(0, 0)])
        # A checksum of the content, by identity.
        self._taken: dict[str, int] = {}
        self._forgotten: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, transactions: Sequence[Transaction], timestamps: Sequence[int]) -> list[tuple[int, Sighting]]:
        """Notes valid transactions (event_time in ms), in log order; returns the places of those taken before.

        ``timestamps`` (ms) are their records'.
        """
        # The length keeps apart what would read the same put together.
        identities = [f"{len(one.user_id)} {one.user_id}{one.transaction_id}" for one in transactions]
        # Of all fields, whatever their order and spelling on the wire.
        checksums = [crc32(encode(one)) for one in transactions]
        segment, taken, note = self._segments[-1], self._taken, self._taken.setdefault
        fits = max(timestamps, default=0) < segment.begun + self._span and len(segment.identities) + len(identities) <= self._room
        if fits and taken.keys().isdisjoint(identities) and len(set(identities)) == len(identities):
            taken.update(zip(identities, checksums, strict=True))
            segment.identities += identities
            return []
        found = []
        known = len(taken)
        for i, (identity, checksum, timestamp) in enumerate(zip(identities, checksums, timestamps, strict=True)):
            if timestamp >= segment.begun + self._span or len(segment.identities) >= self._room:
                segment = self._next_segment(timestamp)
                known = len(taken)
            first = note(identity, checksum)
            if len(taken) > known:
                known += 1
                segment.identities.append(identity)
            else:
                found.append((i, Sighting.DUPLICATE if first == checksum else Sighting.CONFLICT))
        return found

    def news(self) -> tuple[list[Piece], list[tuple[int, int]]]:
        """What was noted since the last call, and the (segment, number) of the pieces given before that are forgotten since."""
        pieces = [piece for segment in self._segments for piece in self._unsaved(segment)]
        forgotten, self._forgotten = self._forgotten, []
        return pieces, forgotten

    def pieces(self) -> Iterator[Piece]:
        """All that is remembered, for ``restore``; what ``news`` gives next is the same with it or without."""
        for segment in self._segments:
            # An empty segment too, for it decides when the next one begins.
            for number, begin in enumerate(range(0, max(1, len(segment.identities)), _MOST_IN_PIECE)):
                identities = segment.identities[begin : begin + _MOST_IN_PIECE]
                yield Piece(segment.number, number, segment.begun, identities, [self._taken[identity] for identity in identities])

    def restore(self, pieces: Iterable[Piece]) -> None:
        """Puts a memory that has noted nothing where the one was whose ``news`` these pieces are, all that aren't forgotten."""
        segments: deque[_Segment] = deque()
        for piece in sorted(pieces, key=lambda piece: (piece.segment, piece.number)):
            if not segments or segments[-1].number != piece.segment:
                segments.append(_Segment(piece.segment, piece.begun))
            segment = segments[-1]
            segment.identities += piece.identities
            segment.pieces = piece.number + 1
            segment.saved = len(segment.identities)
            self._taken.update(zip(piece.identities, piece.checksums, strict=True))
        if segments:
            self._segments = segments

    def _unsaved(self, segment: _Segment) -> Iterable[Piece]:
        # An empty segment is given too, once, for it decides when the next one begins. No piece is ever given anew with more in it: if that
        # came from a save that was broken off, it would not be believed, and what was given first would be gone.
        while segment.saved < len(segment.identities) or not segment.pieces:
            identities = segment.identities[segment.saved : segment.saved + _MOST_IN_PIECE]
            number, segment.pieces = segment.pieces, segment.pieces + 1
            segment.saved += len(identities)
            yield Piece(segment.number, number, segment.begun, identities, [self._taken[identity] for identity in identities])

    def _next_segment(self, timestamp: int) -> _Segment:
        """Begins a segment at this log time, once what is too old or too much by then is forgotten."""
        segments = self._segments
        number = segments[-1].number + 1
        while segments and (segments[0].begun + self._span <= timestamp - self._age or len(self._taken) > (_SEGMENTS - 1) * self._room):
            gone = segments.popleft()
            self._forgotten += [(gone.number, number) for number in range(gone.pieces)]
            for identity in gone.identities:
                del self._taken[identity]
        segments.append(_Segment(number, timestamp))
        return segments[-1]
