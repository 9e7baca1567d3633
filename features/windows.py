"""The windows kernel: one key's tiles, and what its windows say at an anchor time.

A key's past is a sorted run of tiles ``(start, count, amount, fraud)``. Tiles are born at the finest hop and merge into coarser ones as
they age, as soon as no window can tell the difference; where that happens depends on the key's anchor alone, so equal pasts have
equal tiles. All sums are integers, so the order of addition cannot matter; floats appear only in the last step.

Times inside are in units of the finest hop. Every function here is compiled; each mutates only the arrays it is given.
"""

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from features.definitions import REMEMBERED_DEVICES, FeatureSet

Int64 = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]
Int8 = npt.NDArray[np.int8]
Float32 = npt.NDArray[np.float32]

NEVER = -(2**62)

TRANSACTION, LABEL = 0, 1
ON_TIME, LATE, TOO_LATE = 0, 1, 2

jit = numba.njit(cache=True, nogil=True)


class Spec(NamedTuple):
    """A feature set as the kernel reads it; lengths, hops and delays in units of the finest hop.

    ``windows`` (int64, w × 3) holds length, hop, delay, the ``activity`` undelayed ones first. ``edges`` (int64, e × 2) lists the window
    borders as (window, 0 = older border, 1 = younger border), youngest first. ``unit`` is the finest hop in ms.
    """

    unit: int
    activity: int
    windows: Int64
    edges: Int64
    hops: Int64


class Keys(NamedTuple):
    """What is kept per key, one row a slot: times in ms (NEVER if unknown), amounts in minor units, and where its tiles lie."""

    anchor: Int64
    newest: Int64
    first_seen: Int64
    last_amount: Int64
    total_count: Int64
    total_amount: Int64
    offset: Int64
    length: Int32
    size_class: Int8
    touched: Int8
    device: Int64
    device_first: Int64


class Tiles(NamedTuple):
    """The tiles of all keys in runs of contiguous cells; ``free`` heads a list of given-back runs per size class, ``end`` is the first
    cell never used."""

    start: Int32
    count: Int32
    fraud: Int32
    amount: Int64
    free: Int64
    end: Int64


# Run lengths that a key's tiles may occupy: half as much again each time, so that a run is at least two thirds full when it grows.
SIZES = np.array([4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096, 16384, 65536], np.int64)


def compile_spec(feature_set: FeatureSet) -> Spec:
    """The kernel's parameters for a feature set."""
    unit = feature_set.hops[0]
    windows = [(w.length // unit, w.hop // unit, w.delay // unit) for w in (*feature_set.activity, *feature_set.outcome)]
    tails = [(length + delay, w, 0) for w, (length, _, delay) in enumerate(windows)]
    heads = [(delay, w, 1) for w, (_, _, delay) in enumerate(windows) if delay]
    edges = [(w, side) for _, w, side in sorted(tails + heads)]
    return Spec(
        unit,
        len(feature_set.activity),
        np.array(windows, np.int64),
        np.array(edges, np.int64),
        np.array(feature_set.hops, np.int64) // unit,
    )


@jit
def _tail(spec: Spec, w: int, q: int) -> int:
    """The oldest unit that window w covers at unit time q."""
    length, hop, delay = spec.windows[w, 0], spec.windows[w, 1], spec.windows[w, 2]
    return (q - delay) // hop * hop - length


@jit
def _horizons(spec: Spec, q: int, horizon: Int64) -> None:
    """Fills ``horizon`` at unit time q: [0] no window reaches before it; [c] no window with a finer hop than ``hops[c]`` does.

    A whole tile of ``hops[c]`` before ``horizon[c]`` can therefore never be split again.
    """
    horizon[:] = 2**62
    for w in range(spec.windows.shape[0]):
        tail = _tail(spec, w, q)
        horizon[0] = min(horizon[0], tail)
        for c in range(1, spec.hops.shape[0]):
            if spec.windows[w, 1] < spec.hops[c]:
                horizon[c] = min(horizon[c], tail)


@jit
def _merge(spec: Spec, horizon: Int64, keys: Keys, tiles: Tiles, slot: int) -> None:
    """Drops the tiles that no window reaches and merges the old ones, for the anchor that ``horizon`` was made for."""
    first = keys.offset[slot]
    write = first
    level = spec.hops.shape[0] - 1
    for read in range(first, first + keys.length[slot]):
        start = tiles.start[read]
        if start < horizon[0] or (tiles.count[read] == 0 and tiles.fraud[read] == 0 and tiles.amount[read] == 0):
            continue
        while level > 0:
            coarse = start // spec.hops[level] * spec.hops[level]
            if coarse + spec.hops[level] <= horizon[level]:
                start = coarse
                break
            level -= 1
        if write > first and tiles.start[write - 1] == start:
            tiles.count[write - 1] += tiles.count[read]
            tiles.fraud[write - 1] += tiles.fraud[read]
            tiles.amount[write - 1] += tiles.amount[read]
            continue
        tiles.start[write] = start
        tiles.count[write] = tiles.count[read]
        tiles.fraud[write] = tiles.fraud[read]
        tiles.amount[write] = tiles.amount[read]
        write += 1
    keys.length[slot] = write - first


@jit
def _reserve(keys: Keys, tiles: Tiles, slot: int) -> bool:
    """Makes room for one more tile of this key; False if the arena must grow first."""
    length = keys.length[slot]
    size = keys.size_class[slot]
    if size >= 0 and length < SIZES[size]:
        return True
    wanted = size + 1
    first = tiles.free[wanted]
    if first >= 0:
        tiles.free[wanted] = tiles.amount[first]
    else:
        first = tiles.end[0]
        if first + SIZES[wanted] > tiles.start.shape[0]:
            return False
        tiles.end[0] += SIZES[wanted]
    old = keys.offset[slot]
    for i in range(length):
        tiles.start[first + i] = tiles.start[old + i]
        tiles.count[first + i] = tiles.count[old + i]
        tiles.fraud[first + i] = tiles.fraud[old + i]
        tiles.amount[first + i] = tiles.amount[old + i]
    if size >= 0:
        tiles.amount[old] = tiles.free[size]
        tiles.free[size] = old
    keys.offset[slot] = first
    keys.size_class[slot] = wanted
    return True


@jit
def _add(spec: Spec, horizon: Int64, keys: Keys, tiles: Tiles, slot: int, time: int, count: int, amount: int, fraud: int) -> bool:
    """Adds to the tile of ``time``, which may be any tile a window reaches; False if it lies before them all. Needs room for a tile."""
    start = time // spec.unit
    if start < horizon[0]:
        return False
    for level in range(spec.hops.shape[0] - 1, 0, -1):
        coarse = start // spec.hops[level] * spec.hops[level]
        if coarse + spec.hops[level] <= horizon[level]:
            start = coarse
            break
    first = keys.offset[slot]
    at = first + keys.length[slot]
    while at > first and tiles.start[at - 1] > start:
        at -= 1
    if at > first and tiles.start[at - 1] == start:
        at -= 1
        tiles.count[at] += count
        tiles.fraud[at] += fraud
        tiles.amount[at] += amount
        return True
    for i in range(first + keys.length[slot], at, -1):
        tiles.start[i] = tiles.start[i - 1]
        tiles.count[i] = tiles.count[i - 1]
        tiles.fraud[i] = tiles.fraud[i - 1]
        tiles.amount[i] = tiles.amount[i - 1]
    tiles.start[at] = start
    tiles.count[at] = count
    tiles.fraud[at] = fraud
    tiles.amount[at] = amount
    keys.length[slot] += 1
    return True


@jit
def _totals(spec: Spec, keys: Keys, tiles: Tiles, slot: int, q: int, edge: Int64, order: Int64, total: Int64) -> None:
    """Fills ``total`` (window, border, 3) with count, amount and fraud of all tiles at or after each window's borders at unit time q."""
    n = spec.edges.shape[0]
    for e in range(n):
        w, side = spec.edges[e, 0], spec.edges[e, 1]
        at = _tail(spec, w, q)
        if side == 1:
            at += spec.windows[w, 0]
        # The nominal order of the edges is right but for rounding to hops, so this insertion rarely moves anything.
        i = e
        while i > 0 and edge[i - 1] < at:
            edge[i] = edge[i - 1]
            order[i] = order[i - 1]
            i -= 1
        edge[i] = at
        order[i] = e
    count = 0
    amount = 0
    fraud = 0
    i = 0
    first = keys.offset[slot]
    for at in range(first + keys.length[slot] - 1, first - 1, -1):
        while i < n and tiles.start[at] < edge[i]:
            w, side = spec.edges[order[i], 0], spec.edges[order[i], 1]
            total[w, side, 0], total[w, side, 1], total[w, side, 2] = count, amount, fraud
            i += 1
        if i == n:
            break
        count += tiles.count[at]
        amount += tiles.amount[at]
        fraud += tiles.fraud[at]
    while i < n:
        w, side = spec.edges[order[i], 0], spec.edges[order[i], 1]
        total[w, side, 0], total[w, side, 1], total[w, side, 2] = count, amount, fraud
        i += 1


@jit
def _finish(spec: Spec, keys: Keys, slot: int, anchor: int, amount: int, device: int, total: Int64, out: Float32) -> None:
    """Writes one key's features, in the order of ``FeatureSet.of``; divisions in float64, results in float32, NaN for missing."""
    i = 0
    for w in range(spec.activity):
        count = total[w, 0, 0]
        out[i] = count
        if count == 0:
            out[i + 1] = np.nan
            out[i + 2] = np.nan
        else:
            mean = total[w, 0, 1] / count
            out[i + 1] = mean
            out[i + 2] = amount / mean if mean != 0.0 else np.nan
        i += 3
    if keys.newest[slot] == NEVER:
        out[i], out[i + 1], out[i + 2] = np.nan, 0.0, np.nan
    else:
        out[i] = (anchor - keys.newest[slot]) / 1000.0
        out[i + 1] = (anchor - keys.first_seen[slot]) / 1000.0
        out[i + 2] = keys.last_amount[slot]
    i += 3
    for w in range(spec.activity, spec.windows.shape[0]):
        count = total[w, 0, 0] - total[w, 1, 0]
        fraud = total[w, 0, 2] - total[w, 1, 2]
        out[i] = count
        out[i + 1] = fraud
        out[i + 2] = fraud / count if count != 0 else np.nan
        i += 3
    if keys.device.shape[1]:
        known = 0
        at = -1
        for d in range(keys.device.shape[1]):
            known += keys.device[slot, d] != 0
            if keys.device[slot, d] == device:
                at = d
        if device == 0:
            out[i], out[i + 1] = np.nan, np.nan
        elif at < 0:
            out[i], out[i + 1] = 1.0, 0.0
        else:
            out[i] = 0.0
            out[i + 1] = (anchor - keys.device_first[slot, at]) / 1000.0
        out[i + 2] = known


@jit
def _remember_device(keys: Keys, slot: int, device: int, time: int) -> None:
    """Moves the device to the front of the key's devices; the one unused for longest falls off the end."""
    last = keys.device.shape[1] - 1
    first_used = time
    for d in range(keys.device.shape[1]):
        if keys.device[slot, d] == device:
            first_used = min(time, keys.device_first[slot, d])
            last = d
            break
    for d in range(last, 0, -1):
        keys.device[slot, d] = keys.device[slot, d - 1]
        keys.device_first[slot, d] = keys.device_first[slot, d - 1]
    keys.device[slot, 0] = device
    keys.device_first[slot, 0] = first_used


@jit
def apply_rows(
    spec: Spec,
    keys: Keys,
    tiles: Tiles,
    begin: int,
    kind: Int8,
    slots: Int64,
    time: Int64,
    amount: Int64,
    fraud: Int64,
    device: Int64,
    out: Float32,
    lateness: Int8,
) -> int:
    """Applies rows in order from ``begin`` on; returns the first row not applied: all rows, or the one for which the arena must grow.

    A TRANSACTION row first writes its key's features to ``out`` (n × features), then counts; a LABEL row adds ``fraud`` (+1, 0 or −1) to
    the tile of its transaction's ``time``. ``lateness`` tells ON_TIME, LATE (behind the key's anchor) or TOO_LATE (no window reaches it).
    """
    horizon = np.empty(spec.hops.shape[0], np.int64)
    edge = np.empty(spec.edges.shape[0], np.int64)
    order = np.empty(spec.edges.shape[0], np.int64)
    total = np.zeros((spec.windows.shape[0], 2, 3), np.int64)
    for row in range(begin, slots.shape[0]):
        slot = slots[row]
        if not _reserve(keys, tiles, slot):
            return row
        keys.touched[slot] = 1
        anchor = keys.anchor[slot]
        if kind[row] == LABEL:
            _horizons(spec, anchor // spec.unit, horizon)
            lateness[row] = ON_TIME if _add(spec, horizon, keys, tiles, slot, time[row], 0, 0, fraud[row]) else TOO_LATE
            continue
        lateness[row] = LATE if time[row] < anchor else ON_TIME
        anchor = max(anchor, time[row])
        q = anchor // spec.unit
        _horizons(spec, q, horizon)
        if q != keys.anchor[slot] // spec.unit:
            _merge(spec, horizon, keys, tiles, slot)
        keys.anchor[slot] = anchor
        _totals(spec, keys, tiles, slot, q, edge, order, total)
        _finish(spec, keys, slot, anchor, amount[row], device[row], total, out[row])
        if not _add(spec, horizon, keys, tiles, slot, time[row], 1, amount[row], 0):
            lateness[row] = TOO_LATE
        keys.total_count[slot] += 1
        keys.total_amount[slot] += amount[row]
        if keys.first_seen[slot] == NEVER or time[row] < keys.first_seen[slot]:
            keys.first_seen[slot] = time[row]
        if time[row] >= keys.newest[slot]:
            keys.newest[slot] = time[row]
            keys.last_amount[slot] = amount[row]
        if device[row] != 0 and keys.device.shape[1]:
            _remember_device(keys, slot, device[row], time[row])
    return slots.shape[0]


@jit
def observe_rows(spec: Spec, keys: Keys, tiles: Tiles, slots: Int64, time: Int64, amount: Int64, device: Int64, out: Float32) -> None:
    """Writes each row's features at ``max(time, the key's anchor)`` to ``out`` and changes nothing."""
    edge = np.empty(spec.edges.shape[0], np.int64)
    order = np.empty(spec.edges.shape[0], np.int64)
    total = np.zeros((spec.windows.shape[0], 2, 3), np.int64)
    for row in range(slots.shape[0]):
        anchor = max(keys.anchor[slots[row]], time[row])
        _totals(spec, keys, tiles, slots[row], anchor // spec.unit, edge, order, total)
        _finish(spec, keys, slots[row], anchor, amount[row], device[row], total, out[row])


def empty_keys(capacity: int, devices: bool) -> Keys:
    """Rows for ``capacity`` keys that were never seen."""

    def never() -> Int64:
        return np.full(capacity, NEVER, np.int64)

    def zero() -> Int64:
        return np.zeros(capacity, np.int64)

    remembered = (capacity, REMEMBERED_DEVICES if devices else 0)
    return Keys(
        anchor=never(),
        newest=never(),
        first_seen=never(),
        last_amount=zero(),
        total_count=zero(),
        total_amount=zero(),
        offset=zero(),
        length=np.zeros(capacity, np.int32),
        size_class=np.full(capacity, -1, np.int8),
        touched=np.zeros(capacity, np.int8),
        device=np.zeros(remembered, np.int64),
        device_first=np.zeros(remembered, np.int64),
    )


def empty_tiles(capacity: int) -> Tiles:
    """An arena of ``capacity`` unused tiles."""
    return Tiles(
        start=np.zeros(capacity, np.int32),
        count=np.zeros(capacity, np.int32),
        fraud=np.zeros(capacity, np.int32),
        amount=np.zeros(capacity, np.int64),
        free=np.full(len(SIZES), -1, np.int64),
        end=np.zeros(1, np.int64),
    )
