"""The state of one entity type: every key's row and tiles, grown as needed."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from features import encoding
from features.definitions import Entity, FeatureSet
from features.windows import (
    SIZES,
    Float32,
    Int8,
    Int64,
    Keys,
    Tiles,
    apply_rows,
    compact,
    compile_spec,
    empty_keys,
    empty_tiles,
    find_horizons,
    observe_rows,
)

Scalar = TypeVar("Scalar", bound=np.generic)


class EntityState:
    """All keys of one entity (``user`` or ``merchant``) that one partition holds. Not thread-safe; a pure function of the rows applied.

    ``keys`` maps a key to its slot, ``names`` a slot to its key; slots are given out in order of first sight and never reused.
    """

    def __init__(self, feature_set: FeatureSet, entity: Entity, capacity: int = 1024) -> None:
        self.feature_set = feature_set
        self.entity = entity
        self.width = len(feature_set.of(entity))
        self.keys: dict[str, int] = {}
        self.names: list[str] = []
        self._spec = compile_spec(feature_set)
        self._rows = empty_keys(capacity, feature_set.has_devices(entity))
        self._tiles = empty_tiles(16 * capacity)

    def __len__(self) -> int:
        return len(self.keys)

    def slots(self, keys: Sequence[str]) -> Int64:
        """The slots of the keys (int64, n), new keys being given one."""
        known = self.keys
        try:
            return np.fromiter(map(known.__getitem__, keys), np.int64, len(keys))
        except KeyError:
            slots = np.array([self._slot(key) for key in keys], np.int64)
        if len(known) > len(self._rows.row):
            self._rows = _grown_keys(self._rows, len(known))
        return slots

    def _slot(self, key: str) -> int:
        slot = self.keys.get(key)
        if slot is None:
            slot = self.keys[key] = len(self.names)
            self.names.append(key)
        return slot

    def apply(self, kind: Int8, slots: Int64, time: Int64, amount: Int64, fraud: Int64, device: Int64) -> tuple[Float32, Int8]:
        """Applies rows in order; see ``windows.apply_rows``. ``time`` in ms, ``amount`` in minor units, ``device`` a hash or 0.

        Returns the features (float32, n × width; NaN in label rows) of each transaction as of before it, and each row's lateness.
        """
        out = np.full((len(slots), self.width), np.nan, np.float32)
        lateness = np.zeros(len(slots), np.int8)
        kind, slots, time, amount = _frozen(kind), _frozen(slots), _frozen(time), _frozen(amount)
        fraud, device = _frozen(fraud), _frozen(device)
        done = 0
        while True:
            done = apply_rows(self._spec, self._rows, self._tiles, done, kind, slots, time, amount, fraud, device, out, lateness)
            if done == len(slots):
                return out, lateness
            self._tiles = _grown_tiles(self._tiles, 0)

    def observe(self, slots: Int64, time: Int64, amount: Int64, device: Int64) -> Float32:
        """The features (float32, n × width) that a transaction of each slot would see at ``max(time, anchor)``; changes nothing."""
        out = np.empty((len(slots), self.width), np.float32)
        observe_rows(self._spec, self._rows, self._tiles, _frozen(slots), _frozen(time), _frozen(amount), _frozen(device), out)
        return out

    def take_changed(self, unheard: int) -> Int64:
        """The slots changed since the last call for the same one of ``windows.UNPROJECTED`` and ``UNSAVED``, ascending."""
        touched = self._rows.row["touched"]
        slots = np.flatnonzero(touched & unheard)
        touched[slots] &= ~unheard
        return slots

    def mark_changed(self, slots: Int64, unheard: int) -> None:
        """Has the slots told by the next ``take_changed``."""
        self._rows.row["touched"][slots] |= unheard

    def mark_told(self, slots: Int64, unheard: int) -> None:
        """Keeps the slots from being told by the next ``take_changed`` unless they change again."""
        self._rows.row["touched"][slots] &= ~unheard

    def totals(self, slots: Int64) -> tuple[Int64, Int64]:
        """All-time count and amount (minor units) of the slots."""
        return self._rows.row["total_count"][slots], self._rows.row["total_amount"][slots]

    def anchors(self, slots: Int64) -> Int64:
        """The slots' last anchors in ms; NEVER for a key known from labels only."""
        return self._rows.row["anchor"][slots]

    def horizons(self, slots: Int64) -> Int64:
        """The event time (ms) of each slot before which transactions and labels come too late."""
        out = np.empty(len(slots), np.int64)
        find_horizons(self._spec, self._rows, _frozen(slots), out)
        return out * self._spec.unit

    def encode(self, slots: Int64) -> list[bytes]:
        """The slots' states as bytes."""
        compact(self._spec, self._rows, self._tiles, slots)
        return encoding.encode(self._rows, self._tiles, slots)

    def restore(self, keys: Sequence[str], encoded: Sequence[bytes]) -> Int64:
        """Puts keys that aren't held yet into the states ``encode`` wrote; returns their slots (int64, n).

        Raises ValueError, and restores none, if a key is held already or some bytes are of another layout.
        """
        before, used = len(self.names), int(self._tiles.end[0])
        slots = self.slots(keys)
        try:
            if not np.array_equal(slots, np.arange(before, before + len(keys))):
                again = next(key for place, key in enumerate(keys) if slots[place] != before + place)
                raise ValueError(f"key {again!r} is held already; restore each key once")
            needed = used + encoding.room(encoded)
            if needed > len(self._tiles.cell):
                self._tiles = _grown_tiles(self._tiles, needed)
            encoding.decode(self._rows, self._tiles, before, encoded)
        except ValueError:
            for key in self.names[before:]:
                del self.keys[key]
            del self.names[before:]
            for held, empty in zip(self._rows, empty_keys(1, self.feature_set.has_devices(self.entity)), strict=True):
                held[before:] = empty[0]
            self._tiles.end[0] = used
            raise
        return slots


def _frozen(column: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """The column contiguous and read-only, so that the kernel is compiled once for these and for those that Arrow hands out."""
    view = np.ascontiguousarray(column).view()
    view.flags.writeable = False
    return view


def _grown_keys(rows: Keys, needed: int) -> Keys:
    grown = empty_keys(max(needed, 2 * len(rows.row)), rows.device.shape[1] > 0)
    for old, new in zip(rows, grown, strict=True):
        new[: len(old)] = old
    return grown


def _grown_tiles(tiles: Tiles, needed: int) -> Tiles:
    grown = empty_tiles(2 * len(tiles.cell) + max(needed, int(SIZES[1])))
    used = int(tiles.end[0])
    grown.cell[:used] = tiles.cell[:used]
    grown.free[:], grown.end[:] = tiles.free, tiles.end
    return grown
