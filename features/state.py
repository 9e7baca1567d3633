"""The state of one entity type: every key's row and tiles, grown as needed."""

from collections.abc import Sequence

import numpy as np

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
    compile_spec,
    empty_keys,
    empty_tiles,
    observe_rows,
)


class EntityState:
    """All keys of one entity (``user`` or ``merchant``) that one partition holds. Not thread-safe; a pure function of the rows applied.

    ``keys`` maps a key to its slot; slots are given out in order of first sight and never reused.
    """

    def __init__(self, feature_set: FeatureSet, entity: Entity, capacity: int = 1024) -> None:
        self.feature_set = feature_set
        self.entity = entity
        self.width = len(feature_set.of(entity))
        self.keys: dict[str, int] = {}
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
            slots = np.array([known.setdefault(key, len(known)) for key in keys], np.int64)
        if len(known) > len(self._rows.anchor):
            self._rows = _grown_keys(self._rows, len(known))
        return slots

    def apply(self, kind: Int8, slots: Int64, time: Int64, amount: Int64, fraud: Int64, device: Int64) -> tuple[Float32, Int8]:
        """Applies rows in order; see ``windows.apply_rows``. ``time`` in ms, ``amount`` in minor units, ``device`` a hash or 0.

        Returns the features (float32, n × width; NaN in label rows) of each transaction as of before it, and each row's lateness.
        """
        out = np.full((len(slots), self.width), np.nan, np.float32)
        lateness = np.zeros(len(slots), np.int8)
        done = 0
        while (
            done := apply_rows(self._spec, self._rows, self._tiles, done, kind, slots, time, amount, fraud, device, out, lateness)
        ) < len(slots):
            self._tiles = _grown_tiles(self._tiles, 0)
        return out, lateness

    def observe(self, slots: Int64, time: Int64, amount: Int64, device: Int64) -> Float32:
        """The features (float32, n × width) that a transaction of each slot would see at ``max(time, anchor)``; changes nothing."""
        out = np.empty((len(slots), self.width), np.float32)
        observe_rows(self._spec, self._rows, self._tiles, slots, time, amount, device, out)
        return out

    def take_touched(self) -> Int64:
        """The slots changed since the last call, ascending."""
        slots = np.flatnonzero(self._rows.touched)
        self._rows.touched[slots] = 0
        return slots

    def totals(self, slots: Int64) -> tuple[Int64, Int64]:
        """All-time count and amount (minor units) of the slots."""
        return self._rows.total_count[slots], self._rows.total_amount[slots]

    def anchors(self, slots: Int64) -> Int64:
        """The slots' last anchors in ms; NEVER for a key known from labels only."""
        return self._rows.anchor[slots]

    def encode(self, slots: Int64) -> list[bytes]:
        """The slots' states as bytes."""
        return encoding.encode(self._rows, self._tiles, slots)

    def restore(self, key: str, encoded: bytes) -> int:
        """Puts a key that isn't held yet into the state ``encode`` wrote; returns its slot.

        Raises ValueError if the key is held already or the bytes are of another layout.
        """
        if key in self.keys:
            raise ValueError(f"key {key!r} is held already; restore only into an empty state")
        slot = int(self.slots([key])[0])
        start, count, fraud, amount = encoding.decode(self._rows, slot, encoded)
        size_class = int(np.searchsorted(SIZES, len(start)))
        first, size = int(self._tiles.end[0]), int(SIZES[size_class])
        if first + size > len(self._tiles.start):
            self._tiles = _grown_tiles(self._tiles, size)
        self._tiles.end[0] += size
        here = slice(first, first + len(start))
        self._tiles.start[here], self._tiles.count[here], self._tiles.fraud[here], self._tiles.amount[here] = start, count, fraud, amount
        self._rows.offset[slot], self._rows.length[slot], self._rows.size_class[slot] = first, len(start), size_class
        return slot


def _grown_keys(rows: Keys, needed: int) -> Keys:
    capacity = max(needed, 2 * len(rows.anchor))
    grown = empty_keys(capacity, rows.device.shape[1] > 0)
    for name in Keys._fields:
        old = getattr(rows, name)
        getattr(grown, name)[: len(old)] = old
    return grown


def _grown_tiles(tiles: Tiles, needed: int) -> Tiles:
    grown = empty_tiles(2 * len(tiles.start) + needed)
    used = int(tiles.end[0])
    for name in ("start", "count", "fraud", "amount"):
        getattr(grown, name)[:used] = getattr(tiles, name)[:used]
    grown.free[:], grown.end[:] = tiles.free, tiles.end
    return grown
