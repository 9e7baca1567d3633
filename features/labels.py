"""Where the labels of a transaction act, and which of them counts.

A transaction is known by its user and id alone. All its labels act where the first one did, at the event time and merchant that the first
one names, whatever the later ones name: so a reversal takes back exactly what was added. The newest by label time counts.

The first one is remembered until memory begins after its event time, by the clock of the user's partition (``EntityState.floor_by``); it is
beyond every window then, and a label that comes after that is the first again. That moment follows from the log alone, so that every
reader of the log agrees, whenever it was interrupted.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import msgspec

_Name = TypeVar("_Name")
_Noted = TypeVar("_Noted")


class Effect(NamedTuple):
    """Where a label acts, and what it adds to the fraud count of that tile: +1, 0 or −1; ``event_time`` in ms."""

    event_time: int
    merchant_id: str
    fraud: int


class _Counting(NamedTuple):
    event_time: int
    merchant_id: str
    label_time: int
    is_fraud: bool


class _WithMoved(msgspec.Struct):
    labels: list[tuple[str, int, str, int, bool]]
    moved: dict[int, str]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[str, int, str, int, bool]] | _WithMoved).decode


class LabelBook:
    """Remembers, per user and transaction, where labels act and which one counts, so that a repeated one changes nothing and a reversed one
    takes back; and which labels were moved to another merchant than they name, for who applies the log again.
    """

    def __init__(self) -> None:
        self._counting: dict[str, dict[str, _Counting]] = {}
        self._moved: dict[str, dict[int, str]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._counting.values()))

    def take(
        self, user_id: str, transaction_id: str, event_time: int, merchant_id: str, label_time: int, is_fraud: bool, floor: int
    ) -> Effect:
        """The effect of a label that names this event time and merchant, as of when memory begins at ``floor`` (all times in ms).

        A label older than the one that counts adds nothing; of equally old ones the later in the log counts.
        """
        of_user = self._counting.setdefault(user_id, {})
        known = of_user.get(transaction_id)
        if known is None or known.event_time < floor:
            of_user[transaction_id] = _Counting(event_time, merchant_id, label_time, is_fraud)
            return Effect(event_time, merchant_id, int(is_fraud))
        if label_time < known.label_time:
            return Effect(known.event_time, known.merchant_id, 0)
        of_user[transaction_id] = known._replace(label_time=label_time, is_fraud=is_fraud)
        return Effect(known.event_time, known.merchant_id, is_fraud - known.is_fraud)

    def note_moved(self, user_id: str, offset: int, merchant_id: str) -> None:
        """Notes that the label at this offset of the log acts at a merchant that it doesn't name."""
        self._moved.setdefault(user_id, {})[offset] = merchant_id

    def moved_to(self, user_id: str, offset: int) -> str | None:
        """The merchant at whom the label acts, if that was noted."""
        return self._moved.get(user_id, {}).get(offset)

    def encode(self, user_id: str, floor: int, since: int) -> bytes:
        """A user's labels as bytes, in one canonical order. Forgets those of transactions before ``floor`` (ms), and which were moved
        before the offset ``since``, from which on the log may be applied again."""
        of_user = _kept(self._counting, user_id, lambda _, counting: counting.event_time >= floor)
        moved = _kept(self._moved, user_id, lambda offset, _: offset >= since)
        labels = sorted((transaction_id, *counting) for transaction_id, counting in of_user.items())
        if moved:
            return _encode(_WithMoved(labels, dict(sorted(moved.items()))))
        return _encode(labels) if labels else b""

    def restore(self, user_id: str, encoded: bytes) -> None:
        """Takes back what ``encode`` gave. Raises ValueError (msgspec's) if these are other bytes."""
        if not encoded:
            return
        found = _decode(encoded)
        labels = found.labels if isinstance(found, _WithMoved) else found
        of_user = self._counting.setdefault(user_id, {})
        for transaction_id, *counting in labels:
            of_user.setdefault(transaction_id, _Counting(*counting))
        if isinstance(found, _WithMoved):
            self._moved[user_id] = found.moved


def _kept(of: dict[str, dict[_Name, _Noted]], user_id: str, stays: Callable[[_Name, _Noted], bool]) -> dict[_Name, _Noted]:
    """What stays of a user's entries; the others are removed, and the user if none stays."""
    entries = of.get(user_id, {})
    for gone in [name for name, noted in entries.items() if not stays(name, noted)]:
        del entries[gone]
    if not entries:
        of.pop(user_id, None)
    return entries
