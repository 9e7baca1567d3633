"""A key's state as bytes and back, without loss and in one canonical form.

Layout, all figures LEB128 varints, signed ones zigzag: version; anchor; anchor − newest, anchor − first seen, last amount, all-time
count and amount (only if the key has an anchor); devices as (hash, anchor − first used); then the tiles from oldest to newest, each as
start delta · 4 + (count is not 1) · 2 + (has frauds), count unless 1, fraud if any, amount.
"""

import numpy as np
import numpy.typing as npt

from features.windows import NEVER, Int32, Int64, Keys, Tiles, jit

VERSION = 1

# A varint of 64 bits takes at most 10 bytes; a tile has at most 4 of them, what comes before the tiles at most 8 and 2 a device.
_VARINT, _TILE, _HEAD = 10, 40, 80

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
    """Writes one key at ``buffer[at:]``; returns the position after it."""
    buffer[at] = VERSION
    at = _put(buffer, at + 1, _zigzag(keys.anchor[slot]))
    if keys.anchor[slot] != NEVER:
        at = _put(buffer, at, keys.anchor[slot] - keys.newest[slot])
        at = _put(buffer, at, keys.anchor[slot] - keys.first_seen[slot])
        at = _put(buffer, at, keys.last_amount[slot])
        at = _put(buffer, at, keys.total_count[slot])
        at = _put(buffer, at, keys.total_amount[slot])
    known = 0
    for d in range(keys.device.shape[1]):
        known += keys.device[slot, d] != 0
    at = _put(buffer, at, known)
    for d in range(known):
        at = _put(buffer, at, keys.device[slot, d])
        at = _put(buffer, at, keys.anchor[slot] - keys.device_first[slot, d])
    previous: Whole = 0
    first = keys.offset[slot]
    for i in range(first, first + keys.length[slot]):
        count, fraud, amount = tiles.count[i], tiles.fraud[i], tiles.amount[i]
        if count == 0 and fraud == 0 and amount == 0:
            continue
        head = (np.int64(tiles.start[i]) - np.int64(previous)) << 2
        previous = np.int64(tiles.start[i])
        at = _put(buffer, at, head | ((count != 1) << 1) | (fraud != 0))
        if count != 1:
            at = _put(buffer, at, count)
        if fraud != 0:
            at = _put(buffer, at, _zigzag(np.int64(fraud)))
        at = _put(buffer, at, amount)
    return at


@jit
def _take(buffer: Bytes, at: int) -> tuple[Whole, int]:
    value = np.uint64(0)
    shift = np.uint64(0)
    while at < buffer.shape[0] and shift < np.uint64(70):
        byte = np.uint64(buffer[at])
        at += 1
        value |= (byte & np.uint64(127)) << shift
        if byte < np.uint64(128):
            return np.int64(value), at
        shift += np.uint64(7)
    return np.int64(value), -1


@jit
def _decode(keys: Keys, slot: int, buffer: Bytes, start: Int32, count: Int32, fraud: Int32, amount: Int64) -> int:
    """Fills the key's row, and its tiles into the four arrays; returns their number, −1 if the bytes are cut or of another layout."""
    if buffer.shape[0] < 2 or buffer[0] != VERSION:
        return -1
    anchor, at = _take(buffer, 1)
    if at < 0:
        return -1
    anchor = _unzigzag(anchor)
    keys.anchor[slot] = anchor
    if anchor != NEVER:
        figure = np.zeros(5, np.int64)
        for i in range(5):
            if at < 0:
                return -1
            figure[i], at = _take(buffer, at)
        keys.newest[slot], keys.first_seen[slot] = anchor - figure[0], anchor - figure[1]
        keys.last_amount[slot], keys.total_count[slot], keys.total_amount[slot] = figure[2], figure[3], figure[4]
    if at < 0:
        return -1
    known, at = _take(buffer, at)
    if known > keys.device.shape[1]:
        return -1
    for d in range(known):
        if at < 0:
            return -1
        keys.device[slot, d], at = _take(buffer, at)
        if at < 0:
            return -1
        age, at = _take(buffer, at)
        keys.device_first[slot, d] = anchor - age
    n = 0
    previous: Whole = 0
    while 0 <= at < buffer.shape[0]:
        head, at = _take(buffer, at)
        previous += head >> 2
        start[n], count[n], fraud[n] = previous, 1, 0
        if head & 2 and at >= 0:
            value, at = _take(buffer, at)
            count[n] = value
        if head & 1 and at >= 0:
            value, at = _take(buffer, at)
            fraud[n] = _unzigzag(value)
        if at < 0:
            return -1
        amount[n], at = _take(buffer, at)
        n += 1
    return n if at >= 0 else -1


@jit
def _encode_many(keys: Keys, tiles: Tiles, slots: Int64, buffer: Bytes, ends: Int64) -> None:
    at = 0
    for i in range(slots.shape[0]):
        at = _encode(keys, tiles, slots[i], buffer, at)
        ends[i] = at


def encode(keys: Keys, tiles: Tiles, slots: Int64) -> list[bytes]:
    """The states of the given slots as bytes, in their order."""
    most = int(keys.length[slots].sum()) * _TILE + len(slots) * (1 + _HEAD + 2 * _VARINT * keys.device.shape[1])
    buffer = np.empty(most, np.uint8)
    ends = np.empty(len(slots), np.int64)
    _encode_many(keys, tiles, slots, buffer, ends)
    raw = buffer[: ends[-1] if len(ends) else 0].tobytes()
    starts = [0, *ends[:-1].tolist()]
    return [raw[begin:end] for begin, end in zip(starts, ends.tolist(), strict=True)] if len(ends) else []


def decode(keys: Keys, slot: int, encoded: bytes) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32], Int64]:
    """Fills the slot's row of ``keys`` from ``encode``'s bytes; returns its tiles' start, count, fraud and amount.

    Raises ValueError if the bytes are cut short, or of another version or layout.
    """
    buffer = np.frombuffer(encoded, np.uint8)
    start, count, fraud = (np.empty(len(buffer), np.int32) for _ in range(3))
    amount = np.empty(len(buffer), np.int64)
    n = _decode(keys, slot, buffer, start, count, fraud, amount)
    if n < 0:
        raise ValueError(f"these {len(encoded)} bytes are no state of layout {VERSION}; rebuild the store they came from")
    return start[:n], count[:n], fraud[:n], amount[:n]
