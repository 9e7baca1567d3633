"""A partition's state in its compacted topic: one record a key, each with a position of its own, and one that says what all have reached.

A save goes in rounds. A round takes the keys changed before it began, at position P, and encodes them in chunks, each as it stands by then;
when all are written, everything before P is saved. So saving never stops the stage, and a recovery reads the keys and applies the log
again from P, leaving out what a key had seen when it was encoded. All is pure: what is written when, in which transaction, is the caller's.

Keys of the topic begin with the digest of the feature set, so that states of two definitions never mix. Only that a record was given up is
noted without one, for it holds whatever is computed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
import numpy as np

from features.arrays import Int64
from features.definitions import FEATURE_SETS
from features.errors import START_OVER, UserError
from features.state import EntityState
from features.windows import UNSAVED
from streams.messages.record import SourcePosition
from streams.state.duplicates import Piece

SavedRecord = tuple[bytes, bytes | None]
"""Key and value; no value removes the key."""


_AT, _KEY, _SEEN, _FAILED, _VARIANT = b"/at", b"/key/", b"/seen/", b"failed/", b"/variant/"


class StageProgress(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a partition knows beside its keys.

    ``marks`` are INGEST's last offset for each merchant partition, or SCORE's last of each source partition; ``counterparts`` is how many
    of those there are, ``partitions`` how many the topic has that the stage reads. ``clock``: see ``EntityState.clock``. ``currency`` is
    the deployment's (ISO 4217), in whose minor units amounts are; empty in what 0.2.0 saved, which did not say it. ``gaps``: see
    ``merchants.Gap``.
    """

    partitions: int
    counterparts: int
    marks: dict[int, int]
    clock: list[int]
    currency: str = ""
    gaps: dict[int, tuple[int, int, int]] = {}


class _At(msgspec.Struct, frozen=True, omit_defaults=True):
    saved: int
    # The name that saved states have it by.
    progress: StageProgress = msgspec.field(name="standing")
    source_id: str = ""


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    position: int
    state: bytes
    labels: bytes


class _Memory(msgspec.Struct, frozen=True, array_like=True):
    saved: int
    piece: Piece


_encode = msgspec.msgpack.Encoder().encode
_decode_at = msgspec.msgpack.Decoder(_At).decode
_decode_kept = msgspec.msgpack.Decoder(_Kept).decode
_decode_memory = msgspec.msgpack.Decoder(_Memory).decode


class Savable(Protocol):
    """A stage's state of one partition.

    ``ahead`` is empty but while the log is applied again: then it has the position of each key whose saved state is beyond. ``failed``
    are the records of ``transactions`` that could not be processed and were given up.
    """

    ahead: dict[str, int]
    failed: set[SourcePosition]

    @property
    def entity(self) -> EntityState:
        """The keys."""

    def progress(self) -> StageProgress:
        """What is known beside the keys."""

    def labels(self, names: Sequence[str], since: int) -> list[bytes]:
        """What is kept of these keys beside their state, the log being applied again from ``since`` at the earliest; see
        ``LabelBook.encode``."""

    def news(self) -> tuple[list[Piece], list[tuple[int, int]]]:
        """See ``TransactionMemory.news``."""

    def memory(self) -> Iterable[Piece]:
        """See ``TransactionMemory.pieces``."""

    def resume(self, progress: StageProgress, pieces: Iterable[Piece], labels: Mapping[str, bytes]) -> None:
        """Takes up what was saved beside the keys' states, which are restored already."""


class Saver:
    """Saves one partition's state, a chunk at a time.

    What ``chunk`` gives must be written, in order, in a transaction that commits the position it was given, or one beyond. Everything
    before ``saved`` is saved; None if nothing ever was. ``source_id`` tells the topic whose positions these are from any other.
    """

    def __init__(self, state: Savable, saved: int | None = None, leftover: Iterable[bytes] = ()) -> None:
        self.saved = saved
        self.source_id = ""
        self._state = state
        self._prefix = _prefix(state.entity)
        self._leftover = set(leftover)
        self._round: _Round | None = None

    @property
    def in_round(self) -> bool:
        """Whether a round is begun and not finished."""
        return self._round is not None

    def chunk(self, position: int, most: int) -> list[SavedRecord]:
        """The next records of at most ``most`` keys, at the state's present ``position``; begins a round if none is under way."""
        records: list[SavedRecord] = []
        if self._round is None:
            self._round, records = self._begin(position)
        round_ = self._round
        slots, round_.slots = round_.slots[:most], round_.slots[most:]
        entity = self._state.entity
        entity.mark_unchanged(slots, UNSAVED)
        names = [entity.names[slot] for slot in slots.tolist()]
        labels = self._state.labels(names, self.saved or 0)
        key = self._prefix + _KEY
        records += [
            (key + name.encode(), _encode(_Kept(position, state, of_user)))
            for name, state, of_user in zip(names, entity.encode(slots), labels, strict=True)
        ]
        if not len(round_.slots):
            records += [(key, None) for key in round_.gone]
            records.append((self._prefix + _AT, _encode(_At(round_.position, round_.progress, self.source_id))))
            self.saved, self._round = round_.position, None
        return records

    def _begin(self, position: int) -> tuple["_Round", list[SavedRecord]]:
        pieces, forgotten = self._state.news()
        records: list[SavedRecord] = [
            (_piece_key(self._prefix, piece.segment, piece.number), _encode(_Memory(position, piece))) for piece in pieces
        ]
        gone = {_piece_key(self._prefix, segment, number) for segment, number in forgotten}
        gone |= self._leftover - {key for key, _ in records}
        self._leftover = set()
        return _Round(position, self._state.progress(), self._state.entity.take_changed(UNSAVED), sorted(gone)), records


@dataclass
class _Round:
    position: int
    progress: StageProgress
    slots: Int64
    gone: list[bytes]


@dataclass(frozen=True)
class Restored:
    """A state as it was saved: apply the log from ``saved`` on, from its beginning if that is None, for then nothing was.

    ``positions`` (int64) are those at which each slot was encoded. ``source_id``: see ``Saver``; "" if it isn't known.
    """

    saver: Saver
    saved: int | None
    positions: Int64
    source_id: str = ""

    @property
    def latest(self) -> int:
        """The position up to which the log must be applied before anything may be sent: some keys have seen all before it. The stage had
        come that far. 0 if nothing was saved."""
        return max(self.saved or 0, int(self.positions.max(initial=0)))


def source_in(key: bytes, value: bytes | None) -> str | None:
    """The id of the topic that saved states are of, if this record of theirs says it; for who wants to know no more than that."""
    if value is None or not key.endswith(_AT) or any(of_one in key for of_one in (_KEY, _SEEN)):
        return None
    return _decode_at(value).source_id or None


def restore(state: Savable, records: Mapping[bytes, bytes], where: str) -> Restored:
    """Puts a state without keys where the newest ``records`` of each key say.

    ``where`` names the topic and partition in errors. Raises UserError if what was saved belongs to another feature set, currency or
    number of partitions.
    """
    prefix = _prefix(state.entity)
    found = records.get(prefix + _AT)
    if found is None:
        _refuse_others(state.entity, records, where)
        return Restored(start_over(state, records), None, np.empty(0, np.int64))
    at = _decode_at(found)
    _refuse_other_currency(state.progress(), at.progress, where)
    _refuse_other_counts(state.progress(), at.progress, where)
    names, kept = [], []
    key, seen = prefix + _KEY, prefix + _SEEN
    pieces, leftover = [], []
    for name, value in records.items():
        if name.startswith(key):
            names.append(name[len(key) :].decode())
            kept.append(_decode_kept(value))
        elif name.startswith(seen):
            memory = _decode_memory(value)
            # A round that was not finished has left pieces about later transactions than S.
            if memory.saved <= at.saved:
                pieces.append(memory.piece)
            else:
                leftover.append(name)
    state.failed = given_up(records)
    state.entity.restore(names, [one.state for one in kept])
    state.resume(at.progress, pieces, {name: one.labels for name, one in zip(names, kept, strict=True) if one.labels})
    state.ahead = {name: one.position for name, one in zip(names, kept, strict=True) if one.position > at.saved}
    return Restored(Saver(state, at.saved, leftover), at.saved, np.array([one.position for one in kept], np.int64), at.source_id)


def whole(state: Savable, position: int, seen: Int64) -> dict[bytes, bytes]:
    """All of a state at its present ``position``, by key, for ``restore``: unlike a ``Saver``'s chunks at once, and whatever those have.
    ``seen`` (int64, by slot) are positions up to that one from which on each key hasn't changed."""
    entity = state.entity
    prefix, slots = _prefix(entity), np.arange(len(entity), dtype=np.int64)
    states = zip(entity.names, entity.encode(slots), state.labels(entity.names, position), seen.tolist(), strict=True)
    return {
        **{prefix + _KEY + name.encode(): _encode(_Kept(at, encoded, labels)) for name, encoded, labels, at in states},
        **{_piece_key(prefix, piece.segment, piece.number): _encode(_Memory(position, piece)) for piece in state.memory()},
        prefix + _AT: _encode(_At(position, state.progress())),
    }


def start_over(state: Savable, records: Mapping[bytes, bytes]) -> Saver:
    """For a state that will learn the log from its beginning: what it saves takes the place of all that ``records`` have of its feature
    set. It knows the records that were given up.
    """
    state.failed = given_up(records)
    seen = _prefix(state.entity) + _SEEN
    # Keys are all written anew; the duplicates' memory may by then have forgotten what it gave before.
    return Saver(state, leftover=[name for name in records if name.startswith(seen)])


def failed_record(place: SourcePosition) -> SavedRecord:
    """Notes that a record was given up; to be written before anything is sent about it."""
    return _FAILED + b"%d/%d" % place, b""


def variant_record(entity: EntityState, position: int, variant: Mapping[str, object]) -> SavedRecord:
    """Says by which model and control revision the partition's records are decided from ``position`` on."""
    return _prefix(entity) + _VARIANT + b"%020d" % position, _encode(variant)


def _prefix(entity: EntityState) -> bytes:
    return entity.feature_set.digest[:16].encode()


def _piece_key(prefix: bytes, segment: int, number: int) -> bytes:
    return prefix + _SEEN + b"%d/%d" % (segment, number)


def given_up(records: Iterable[bytes]) -> set[SourcePosition]:
    """The records of ``transactions`` that a partition of a state topic, given by its keys, says were given up."""
    places = (name[len(_FAILED) :].split(b"/") for name in records if name.startswith(_FAILED))
    return {(int(partition), int(offset)) for partition, offset in places}


def _refuse_others(entity: EntityState, records: Iterable[bytes], where: str) -> None:
    others = sorted(key[: -len(_AT)].decode() for key in records if key.endswith(_AT))
    if others:
        raise UserError(
            f"{where} holds states of feature set {' and '.join(map(_name_of, others))}, this worker computes {entity.feature_set.name} "
            f"({entity.feature_set.digest[:16]}); run the workers with that set (TIDEMARK_FEATURES), or build the new states with "
            "tidemark rebuild-state"
        )


def _name_of(digest: str) -> str:
    known = next((name for name, feature_set in FEATURE_SETS.items() if feature_set.digest.startswith(digest)), "unknown")
    return f"{known} ({digest})"


def _refuse_other_currency(here: StageProgress, then: StageProgress, where: str) -> None:
    if then.currency not in ("", here.currency):
        raise UserError(
            f"{where} holds states of amounts in {then.currency}, this worker settles in {here.currency}; run the workers in "
            f"{then.currency} (TIDEMARK_CURRENCY), or give the deployment in {here.currency} a Kafka of its own"
        )


def _refuse_other_counts(here: StageProgress, then: StageProgress, where: str) -> None:
    if (here.partitions, here.counterparts) != (then.partitions, then.counterparts):
        raise UserError(
            f"{where} was saved when the stage's topic had {then.partitions} partitions and its counterpart {then.counterparts}, now they "
            f"have {here.partitions} and {here.counterparts}; keys have moved between partitions, so the states are no longer theirs; "
            f"{START_OVER}"
        )
