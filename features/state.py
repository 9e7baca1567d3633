"""The state of one entity type: every key's row and tiles, grown as needed."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from features import encoding
from features.arrays import Float32, Int8, Int64, Lateness
from features.definitions import Entity, FeatureSet, Window
from features.tiles import NEVER, Keys, empty_tiles, packed, start_keys, unused_keys
from features.windows import (
    apply_rows,
    compact,
    compile_spec,
    find_horizons,
    forget_idle,
    move_clock,
    observe_rows,
    start_clock,
    sum_window,
)

Scalar = TypeVar("Scalar", bound=np.generic)


class EntityState:
    """All keys of one entity (``user`` or ``merchant``) that one partition holds. Not thread-safe; a pure function of the rows applied.

    ``keys`` maps a key to its slot, ``names`` a slot to its key; slots are given out in order of first sight and never reused. A key that
    isn't seen for longer than any window reaches, and another week, by the clock of the slowest of the ``sources`` that the rows come
    from, shrinks to its all-time figures and its last transaction. ``capacity``, in keys, is only where it begins.
    """

    def __init__(self, feature_set: FeatureSet, entity: Entity, capacity: int = 0, sources: int = 1) -> None:
        self.feature_set = feature_set
        self.entity = entity
        self.width = len(feature_set.of(entity))
        self.keys: dict[str, int] = {}
        self.names: list[str] = []
        self._spec = compile_spec(feature_set, entity)
        self._rows = unused_keys(capacity, feature_set.has_devices(entity))
        self._tiles = empty_tiles(16 * capacity)
        self._clock = start_clock(sources)

    def __len__(self) -> int:
        return len(self.keys)

    def slots(self, keys: Sequence[str]) -> Int64:
        """The slots of the keys (int64, n), new keys being given one."""
        known = self.keys
        try:
            return np.fromiter(map(known.__getitem__, keys), np.int64, len(keys))
        except KeyError:
            before = len(known)
            slots = np.array([self._slot(key) for key in keys], np.int64)
        if len(known) > len(self._rows.row):
            self._rows = _grown_keys(self._rows, len(known))
        start_keys(self._rows, before, len(known))
        return slots

    def _slot(self, key: str) -> int:
        slot = self.keys.get(key)
        if slot is None:
            slot = self.keys[key] = len(self.names)
            self.names.append(key)
        return slot

    @property
    def clock(self) -> list[int]:
        """The end of the youngest day seen of each source, in ms; NEVER if none was."""
        until: list[int] = self._clock.until.tolist()
        return until

    def set_clock(self, until: Sequence[int]) -> None:
        """Sets the clock to what ``clock`` returned; ValueError if that was of another number of sources."""
        if len(until) != len(self._clock.until):
            raise ValueError(f"a clock of {len(until)} sources can't be that of {len(self._clock.until)}")
        self._clock = start_clock(len(until))
        for source, end in enumerate(until):
            if end != NEVER:
                move_clock(self._spec, self._clock, source, end - 1)

    def apply(
        self,
        kind: Int8,
        slots: Int64,
        time: Int64,
        amount: Int64,
        fraud: Int64,
        device: Int64,
        source: Int64 | None = None,
    ) -> tuple[Float32, Int8]:
        """Applies rows in order; see ``windows.apply_rows``. ``time`` in ms, ``amount`` in minor units, ``device`` a hash or 0, ``source``
        the number of each row's source, 0 if not given.

        Returns the features (float32, n × width; NaN in other rows) of each transaction as of before it, and each row's lateness.
        """
        return self._apply(kind, slots, time, amount, fraud, device, source, 0, np.zeros((0, 4), np.int64))

    def apply_summing(
        self, window: Window, kind: Int8, slots: Int64, time: Int64, amount: Int64, fraud: Int64, device: Int64
    ) -> tuple[Float32, Int8, Int64]:
        """As ``apply``, and what each transaction leaves behind (int64, n × 4; 0 in other rows): count and amount of the window at its
        key's anchor, as ``window_sums`` gives them, and of all time. ``window`` must be an undelayed one of the feature set.
        """
        sums = np.zeros((len(slots), 4), np.int64)
        number = self.feature_set.activity.index(window)
        return *self._apply(kind, slots, time, amount, fraud, device, None, number, sums), sums

    def _apply(
        self,
        kind: Int8,
        slots: Int64,
        time: Int64,
        amount: Int64,
        fraud: Int64,
        device: Int64,
        source: Int64 | None,
        window: int,
        sums: Int64,
    ) -> tuple[Float32, Int8]:
        out = np.full((len(slots), self.width), np.nan, np.float32)
        lateness = np.zeros(len(slots), np.int8)
        kind, slots, time, amount = _frozen(kind), _frozen(slots), _frozen(time), _frozen(amount)
        fraud, device = _frozen(fraud), _frozen(device)
        source = _frozen(np.zeros(len(slots), np.int64) if source is None else source)
        rows, clock, floor = (kind, slots, source, time, amount, fraud, device), self._clock, int(self._clock.floor[0])
        done = apply_rows(self._spec, self._rows, self._tiles, clock, 0, *rows, out, lateness, window, sums)
        while done < len(slots):
            self._tiles = packed(self._rows, len(self), self._tiles, 0)
            done = apply_rows(self._spec, self._rows, self._tiles, clock, done, *rows, out, lateness, window, sums)
        if clock.floor[0] > floor:
            forget_idle(self._spec, self._rows, self._tiles, clock, len(self))
        return out, lateness

    def observe(self, slots: Int64, time: Int64, amount: Int64, device: Int64) -> Float32:
        """The features (float32, n × width) that a transaction of each slot would see at ``max(time, anchor)``; changes nothing."""
        out = np.empty((len(slots), self.width), np.float32)
        asked = (_frozen(slots), _frozen(time), _frozen(amount), _frozen(device))
        observe_rows(self._spec, self._rows, self._tiles, self._clock, *asked, out)
        return out

    def take_changed(self, listener: int) -> Int64:
        """The slots changed since the last call by the same ``listener`` (``windows.UNPROJECTED`` or ``UNSAVED``), ascending."""
        touched = self._rows.row["touched"]
        slots = np.flatnonzero(touched & listener)
        touched[slots] &= ~listener
        return slots

    def mark_changed(self, slots: Int64, listener: int) -> None:
        """Puts the slots among those of the next ``take_changed``."""
        self._rows.row["touched"][slots] |= listener

    def mark_unchanged(self, slots: Int64, listener: int) -> None:
        """Leaves the slots out of the next ``take_changed`` unless they change again."""
        self._rows.row["touched"][slots] &= ~listener

    def totals(self, slots: Int64) -> tuple[Int64, Int64]:
        """All-time count and amount (minor units) of the slots."""
        return self._rows.row["total_count"][slots], self._rows.row["total_amount"][slots]

    def window_sums(self, window: Window, slots: Int64) -> tuple[Int64, Int64]:
        """Count and amount (int64, minor units) of each slot's window at its anchor, the last transaction included; 0 for a key without
        any. Exact, where a model's features are float32. Raises ValueError unless ``window`` is an undelayed one of the feature set.
        """
        if window not in self.feature_set.activity:
            raise ValueError(f"window {window.name} is no activity window of feature set {self.feature_set.name}")
        count, amount = np.zeros(len(slots), np.int64), np.zeros(len(slots), np.int64)
        unit = self.feature_set.hops[0]
        sum_window(window.length // unit, window.hop // unit, unit, self._rows, self._tiles, slots, count, amount)
        return count, amount

    def anchors(self, slots: Int64) -> Int64:
        """The slots' last anchors in ms; NEVER for a key known from labels only."""
        return self._rows.row["anchor"][slots]

    def horizons(self, slots: Int64) -> Int64:
        """The event time (ms) of each slot before which transactions and labels come too late."""
        out = np.empty(len(slots), np.int64)
        find_horizons(self._spec, self._rows, self._clock, _frozen(slots), out)
        return out * self._spec.unit

    def floor_by(self, newest: int = NEVER) -> int:
        """Where memory begins (ms) once a transaction of ``newest`` (ms) is applied; of a state with one source. NEVER if there is none."""
        by_newest = NEVER if newest == NEVER else newest // self._spec.day * self._spec.day - self._spec.patience
        return max(int(self._clock.floor[0]), by_newest)

    def encode(self, slots: Int64) -> list[bytes]:
        """The slots' states as bytes."""
        compact(self._spec, self._rows, self._tiles, self._clock, slots)
        return encoding.encode(self._rows, self._tiles, slots)

    def restore(self, keys: Sequence[str], encoded: Sequence[bytes]) -> Int64:
        """Puts keys that aren't held yet into the states ``encode`` wrote; returns their slots (int64, n).

        Raises ValueError, and restores none, if a key is held already or some bytes are of another layout.
        """
        before = len(self.names)
        room = encoding.room(encoded)
        if self._tiles.end[0] + room > len(self._tiles.cell):
            self._tiles = packed(self._rows, before, self._tiles, room) if before else empty_tiles(room)
        used = int(self._tiles.end[0])
        slots = self.slots(keys)
        try:
            if not np.array_equal(slots, np.arange(before, before + len(keys))):
                again = next(key for place, key in enumerate(keys) if slots[place] != before + place)
                raise ValueError(f"key {again!r} is held already; restore each key once")
            encoding.decode(self._rows, self._tiles, before, encoded)
        except ValueError:
            for key in self.names[before:]:
                del self.keys[key]
            del self.names[before:]
            for held in self._rows:
                held[before : before + len(keys)] = np.zeros((), held.dtype)
            self._tiles.end[0] = used
            raise
        return slots


def count_lateness(lateness: Int8) -> dict[str, int]:
    """How many rows ``apply`` found late, and too late."""
    return {"late": int(np.count_nonzero(lateness == Lateness.LATE)), "too_late": int(np.count_nonzero(lateness == Lateness.TOO_LATE))}


def _frozen(column: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """The column contiguous and read-only, so that the kernel is compiled once for these and for those that Arrow hands out."""
    view = np.ascontiguousarray(column).view()
    view.flags.writeable = False
    return view


def _grown_keys(rows: Keys, needed: int) -> Keys:
    grown = unused_keys(max(needed, 2 * len(rows.row)), rows.device.shape[1] > 0)
    for old, new in zip(rows, grown, strict=True):
        new[: len(old)] = old
    return grown
