"""The memory that the windows kernel works on: a row a key, and each key's run of tiles in one arena.

A run's tiles are sorted by start, then by kind; it lies in contiguous cells, as many as its size class has, and is copied to a larger one
when it grows. Compiled functions mutate only the arrays they are given.
"""

from typing import NamedTuple

import numpy as np

from features.arrays import Int64, Records
from features.compiled import inlined, jit
from features.definitions import REMEMBERED_DEVICES

NEVER = -(2**62)
"""A time that never was."""

# What is kept per key beside tiles and devices, in one cache line, for keys come in any order and memory is what the kernel waits for:
# times in ms (NEVER if unknown), amounts in minor units, and where the key's tiles lie.
KEY = np.dtype(
    [
        ("anchor", np.int64),
        ("newest", np.int64),
        ("first_seen", np.int64),
        ("last_amount", np.int64),
        ("total_count", np.int64),
        ("total_amount", np.int64),
        ("offset", np.int64),
        ("length", np.int32),
        ("size_class", np.int16),
        ("touched", np.int8),
    ],
    align=True,
)

# Four lie in a cache line. No amount is negative, so that one below 0 is free to mean the kind of a tile that has no amount: −FRAUD, …
# Starts fit until 2286 if hops are no finer than FeatureSet allows.
TILE = np.dtype([("amount", np.int64), ("start", np.int32), ("count", np.int32)])

# The kinds of tiles: of transactions, frauds, and large amounts, as many as there are factors.
ACTIVITY, FRAUD, LARGE = 0, 1, 2


class Keys(NamedTuple):
    """All keys, a row a slot: ``row`` (KEY), and the last devices, newest first: their hashes (0 if none) and first uses in ms."""

    row: Records
    device: Int64
    device_first: Int64


class Tiles(NamedTuple):
    """The tiles of all keys in runs of contiguous ``cell``s (TILE); ``free`` heads a list of given-back runs per size class, ``end`` is
    the first cell never used."""

    cell: Records
    free: Int64
    end: Int64


def _sizes() -> Int64:
    sizes = [0, 4]
    while sizes[-1] < 2**30:
        sizes.append(sizes[-1] + max(4, sizes[-1] // 32 * 4))
    return np.array(sizes, np.int64)


# How many tiles a key's run may hold: whole cache lines, each size at most an eighth more than the one before, but for the smallest.
SIZES = _sizes()
# Cells that an arena has room for at least.
_LEAST = 1 << 14


@inlined
def kind_of(amount: int) -> int:
    """The kind of a tile, by its amount."""
    return -min(amount, 0)


@inlined
def _find_tile(tiles: Tiles, first: int, end: int, start: int, amount: int) -> int:
    """Where in the run from ``first`` to ``end`` the tile of this start and kind lies, or would come: by start, then by kind."""
    at = end
    while at > first:
        before = tiles.cell[at - 1]
        if before.start < start or (before.start == start and kind_of(before.amount) < kind_of(amount)):
            break
        at -= 1
    return at


@inlined
def put_tile(tiles: Tiles, first: int, end: int, start: int, amount: int, count: int) -> int:
    """Adds to the tile of this start and kind in the run from ``first`` to ``end``, or makes it; returns the run's new end."""
    at = _find_tile(tiles, first, end, start, amount)
    if at < end and tiles.cell[at].start == start and kind_of(tiles.cell[at].amount) == kind_of(amount):
        tile = tiles.cell[at]
        tile.count += count
        if amount > 0:
            tile.amount += amount
        # A label was taken back.
        if tile.count == 0:
            for i in range(at, end - 1):
                tiles.cell[i] = tiles.cell[i + 1]
            return end - 1
        return end
    for i in range(end, at, -1):
        tiles.cell[i] = tiles.cell[i - 1]
    tile = tiles.cell[at]
    tile.start, tile.amount, tile.count = start, amount, count
    return end + 1


@inlined
def give_back(tiles: Tiles, first: int, size: int) -> None:
    """Makes the run of this size class at ``first`` free for another key."""
    tiles.cell[first].amount = tiles.free[size]
    tiles.free[size] = first


@inlined
def add_to_tile(keys: Keys, tiles: Tiles, slot: int, start: int, amount: int, count: int) -> None:
    """Adds to the key's tile of the finest hop at ``start``. Needs room for a tile."""
    key = keys.row[slot]
    key.length = put_tile(tiles, key.offset, key.offset + key.length, start, amount, count) - key.offset


@jit
def _packed_size(keys: Keys, n: int) -> tuple[int, int]:
    """How many cells the runs of the first n keys take if none is larger than it must be, and the largest of them."""
    cells = largest = 0
    for slot in range(n):
        size = SIZES[np.searchsorted(SIZES, keys.row[slot].length)]
        cells += size
        largest = max(largest, size)
    return cells, largest


@jit
def _pack(keys: Keys, n: int, old: Tiles, new: Tiles) -> None:
    """Copies the runs of the first n keys to an unused arena, side by side."""
    for slot in range(n):
        key = keys.row[slot]
        size_class = np.searchsorted(SIZES, key.length)
        first = new.end[0]
        for i in range(key.length):
            new.cell[first + i] = old.cell[key.offset + i]
        key.offset, key.size_class = first, size_class
        new.end[0] += SIZES[size_class]


def packed(keys: Keys, n: int, tiles: Tiles, needed: int) -> Tiles:
    """An arena with the tiles of the first n keys, without what growing runs have left behind, and with room for ``needed`` tiles and half
    as many again as there are. Memory that no tile has reached yet costs none."""
    cells, largest = _packed_size(keys, n)
    # The largest run may have to grow, and is copied then.
    arena = empty_tiles(cells + max(cells // 2, 2 * largest, _LEAST) + needed)
    _pack(keys, n, tiles, arena)
    return arena


def unused_keys(capacity: int, devices: bool) -> Keys:
    """Room for ``capacity`` keys, which ``start_keys`` makes theirs; what was never written takes no memory."""
    remembered = (capacity, REMEMBERED_DEVICES if devices else 0)
    return Keys(np.zeros(capacity, KEY), np.zeros(remembered, np.int64), np.zeros(remembered, np.int64))


def start_keys(keys: Keys, begin: int, end: int) -> None:
    """Makes the unused rows from ``begin`` to ``end`` those of keys that were never seen."""
    for field in ("anchor", "newest", "first_seen"):
        keys.row[field][begin:end] = NEVER


def empty_tiles(capacity: int) -> Tiles:
    """An arena of ``capacity`` unused tiles."""
    return Tiles(np.zeros(capacity, TILE), np.full(len(SIZES), -1, np.int64), np.zeros(1, np.int64))
