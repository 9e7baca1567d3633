"""A key's state as bytes and back, without loss and in one canonical form.

Layout, all figures LEB128 varints, signed ones zigzag: version; anchor; anchor − newest, anchor − first seen, last amount, all-time
count and amount (only if the key has an anchor); number of devices, each as (hash, anchor − first used); number of tiles, these from
oldest to newest, each as start delta · 8 + kind · 2 + (count is not 1), count unless 1 (signed), amount if it is of transactions.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from features.arrays import Int64, Records
from features.compiled import jit
from features.tiles import ACTIVITY, NEVER, SIZES, Keys, Tiles, kind_of

VERSION = 2

# A varint of 64 bits takes at most 10 bytes; a tile has at most 3 of them, what comes before the tiles at most 8 and 2 a device.
_VARINT, _TILE, _HEAD = 10, 30, 81

Bytes = npt.NDArray[np.uint8]
Whole = int | np.int64


@jit
def _put(buffer: Bytes, at: int, value: Whole) -> int:
    rest = np.uint64(value)
    while rest >= np.uint64(128):
        buffer[at] = np.uint8((rest & np.uint64(127)) | np.uint64(128))
        rest = rest >> np.uint64(7)
        at += 1
    buffer[at] = np.uint8(rest)
    return at + 1


@jit
def _zigzag(value: Whole) -> Whole:
    return (value << 1) ^ (value >> 63)


@jit
def _unzigzag(value: Whole) -> Whole:
    return np.int64(np.uint64(value) >> np.uint64(1)) ^ -(value & 1)


@jit
def _encode(keys: Keys, tiles: Tiles, slot: int, buffer: Bytes, at: int) -> int:
    """Writes one key, whose tiles are compacted, at ``buffer[at:]``; returns the position after it."""
    key = keys.row[slot]
    buffer[at] = VERSION
    at = _put(buffer, at + 1, _zigzag(key.anchor))
    if key.anchor != NEVER:
        at = _put(buffer, at, key.anchor - key.newest)
        at = _put(buffer, at, key.anchor - key.first_seen)
        at = _put(buffer, at, key.last_amount)
        at = _put(buffer, at, key.total_count)
        at = _put(buffer, at, key.total_amount)
    known = 0
    for d in range(keys.device.shape[1]):
        known += keys.device[slot, d] != 0
    at = _put(buffer, at, known)
    for d in range(known):
        at = _put(buffer, at, keys.device[slot, d])
        at = _put(buffer, at, key.anchor - keys.device_first[slot, d])
    at = _put(buffer, at, key.length)
    previous: Whole = 0
    for i in range(key.offset, key.offset + key.length):
        tile = tiles.cell[i]
        kind, start = kind_of(tile.amount), np.int64(tile.start)
        at = _put(buffer, at, ((start - previous) << 3) | (kind << 1) | (tile.count != 1))
        if tile.count != 1:
            at = _put(buffer, at, _zigzag(np.int64(tile.count)))
        if kind == ACTIVITY:
            at = _put(buffer, at, tile.amount)
        previous = start
    return at


@jit
def _take(buffer: Bytes, at: int) -> tuple[Whole, int]:
    """The figure at ``buffer[at:]`` and the position after it; −1 instead if there is none, or ``at`` was −1."""
    value = np.uint64(0)
    shift = np.uint64(0)
    while 0 <= at < buffer.shape[0] and shift < np.uint64(70):
        byte = np.uint64(buffer[at])
        at += 1
        value |= (byte & np.uint64(127)) << shift
        if byte < np.uint64(128):
            return np.int64(value), at
        shift += np.uint64(7)
    return 0, -1


@jit
def _decode(keys: Keys, slot: int, buffer: Bytes, cell: Records) -> Whole:
    """Fills a row of ``keys``, and ``cell`` with its tiles; returns their number, −1 if these are not the bytes of one key."""
    key = keys.row[slot]
    if buffer.shape[0] == 0 or buffer[0] != VERSION:
        return -1
    value, at = _take(buffer, 1)
    key.anchor = _unzigzag(value)
    if key.anchor != NEVER:
        value, at = _take(buffer, at)
        key.newest = key.anchor - value
        value, at = _take(buffer, at)
        key.first_seen = key.anchor - value
        key.last_amount, at = _take(buffer, at)
        key.total_count, at = _take(buffer, at)
        key.total_amount, at = _take(buffer, at)
    known, at = _take(buffer, at)
    if known > keys.device.shape[1]:
        return -1
    for d in range(known):
        keys.device[slot, d], at = _take(buffer, at)
        value, at = _take(buffer, at)
        keys.device_first[slot, d] = key.anchor - value
    length, at = _take(buffer, at)
    if not 0 <= length <= cell.shape[0]:
        return -1
    start: Whole = 0
    for i in range(length):
        head, at = _take(buffer, at)
        start += head >> 3
        kind = (head >> 1) & 3
        count: Whole = 1
        amount: Whole = -kind
        if head & 1:
            value, at = _take(buffer, at)
            count = _unzigzag(value)
        if kind == ACTIVITY:
            amount, at = _take(buffer, at)
        tile = cell[i]
        tile.start, tile.count, tile.amount = start, count, amount
    return length if at == buffer.shape[0] else -1


@jit
def _encode_many(keys: Keys, tiles: Tiles, slots: Int64, buffer: Bytes, ends: Int64) -> None:
    at = 0
    for i in range(slots.shape[0]):
        at = _encode(keys, tiles, slots[i], buffer, at)
        ends[i] = at


def encode(keys: Keys, tiles: Tiles, slots: Int64) -> list[bytes]:
    """The states of the given slots, whose tiles are compacted, as bytes, in their order."""
    most = int(keys.row["length"][slots].sum()) * _TILE + len(slots) * (1 + _HEAD + 2 * _VARINT * keys.device.shape[1])
    buffer = np.empty(most, np.uint8)
    ends = np.empty(len(slots), np.int64)
    _encode_many(keys, tiles, slots, buffer, ends)
    raw = buffer[: ends[-1] if len(ends) else 0].tobytes()
    starts = [0, *ends[:-1].tolist()]
    return [raw[begin:end] for begin, end in zip(starts, ends.tolist(), strict=True)] if len(ends) else []


@jit
def _decode_many(keys: Keys, tiles: Tiles, first_slot: int, buffer: Bytes, ends: Int64) -> int:
    """Fills the rows from ``first_slot`` on and runs of tiles; returns how many until the first that are not the bytes of a key."""
    begin = 0
    for i in range(ends.shape[0]):
        slot, run = first_slot + i, tiles.end[0]
        # No tile takes less than a byte.
        length = _decode(keys, slot, buffer[begin : ends[i]], tiles.cell[run : run + ends[i] - begin])
        if length < 0:
            return i
        size_class = np.searchsorted(SIZES, length)
        key = keys.row[slot]
        key.offset, key.length, key.size_class = run, length, size_class
        tiles.end[0] += SIZES[size_class]
        begin = ends[i]
    return len(ends)


def decode(keys: Keys, tiles: Tiles, first_slot: int, encoded: Sequence[bytes]) -> None:
    """Fills the rows of ``keys`` from ``first_slot`` on, and unused ``tiles``, from ``encode``'s bytes; see ``room`` for how many.

    Raises ValueError if some bytes are cut short, or of another version or layout.
    """
    ends = np.cumsum([len(each) for each in encoded], dtype=np.int64)
    done = _decode_many(keys, tiles, first_slot, np.frombuffer(b"".join(encoded), np.uint8), ends)
    if done < len(encoded):
        raise ValueError(f"these {len(encoded[done])} bytes are no state of layout {VERSION}; rebuild the store they came from")


def room(encoded: Sequence[bytes]) -> int:
    """The most tiles that decoding these takes: a run may hold an eighth more than its tiles, or four."""
    return sum(len(each) + max(int(SIZES[1]), len(each) // 8) for each in encoded)
