"""The windows kernel: one key's tiles, and what its windows hold at an anchor time.

A key's past is a run of tiles, sorted by start, each of which counts one kind of thing: transactions and their
amount, or frauds, or large amounts, which are few. Tiles are born at the finest hop. ``compact`` drops those that no window reaches any
more and merges old ones into coarser hops, where no window can tell the difference; both follow from the key's anchor alone, so equal
pasts have equal compacted tiles. All that lies before the clock's ``floor`` is forgotten, and keys of
which nothing is younger give back their tiles and devices. All sums are integers, so the order of addition cannot matter;
floats appear only in the last step.

Times inside are in units of the finest hop. Compiled functions mutate only the arrays they are given.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from features.arrays import Float32, Float64, Int8, Int64, Lateness, RecordKind
from features.compiled import inlined, jit
from features.definitions import DAY, MOST_LARGE, Entity, FeatureSet
from features.tiles import ACTIVITY, FRAUD, LARGE, NEVER, SIZES, Keys, Tiles, add_to_tile, give_back, kind_of, put_tile

# Added to a row's kind if its key knows it already: then it does nothing, but that a transaction moves the clock.
SEEN = 4


class Spec(NamedTuple):
    """A feature set as the kernel reads it, times in units of the finest hop, which is ``unit`` ms.

    ``borders`` (int64, b × 3) holds hop, delay and distance: at unit time q a border lies ``distance`` before the tile of ``q - delay``.
    First come the older borders of the ``activity`` windows, then those of the ``outcome`` windows, then the latter's younger borders.
    ``hops`` (int64) are the distinct hops, finest first. A ``day``, in ms, is a day or the coarsest hop if that is longer; what is older
    than ``patience`` (ms, whole such days) on the clock is forgotten.

    An amount is large if it is more than one of the ``factors`` (float64, at most two, ascending) times the mean of all before it;
    ``large`` (int64, l × 2) has kind of tile and number of the activity window of each feature that counts such.
    """

    unit: int
    day: int
    patience: int
    activity: int
    outcome: int
    borders: Int64
    hops: Int64
    factors: Float64
    large: Int64


# Who has yet to see that a key changed: the online store, the saved states. Bits of ``touched``.
UNPROJECTED, UNSAVED = 1, 2


class View(NamedTuple):
    """What the windows cover of one key at one unit time; room for it is made once a call.

    ``order`` lists the borders, youngest first, and ``place`` where each of these lies. Of border b, ``since[b]`` is the start of the
    tile that it is measured from, and ``total[b]`` the sums of all tiles from the border on: transactions, their amount, frauds, large
    amounts by the first and by the second factor.
    """

    order: Int64
    place: Int64
    since: Int64
    total: Int64


class Clock(NamedTuple):
    """How far event time has come in what was applied: ``until`` (int64, one a source) is the end of the youngest day seen of a source, in
    ms, NEVER if none; ``floor`` (int64, 1) is where memory begins, in ms, by the source that is furthest behind."""

    until: Int64
    floor: Int64


# By so much a transaction may be behind its source's clock and yet see all that its windows cover.
_DISORDER = 7 * DAY


@cache
def compile_spec(feature_set: FeatureSet, entity: Entity) -> Spec:
    """The kernel's parameters for one entity of a feature set; all its states share them, and nobody may write to them."""
    unit = feature_set.hops[0]
    # Days are whole coarse tiles, so that merging tiles brings none below the floor.
    day = -(-DAY // feature_set.hops[-1]) * feature_set.hops[-1]
    reach = max(w.delay + w.length + w.hop for w in (*feature_set.activity, *feature_set.outcome))
    older = [(w.hop, w.delay, w.length) for w in (*feature_set.activity, *feature_set.outcome)]
    younger = [(w.hop, w.delay, 0) for w in feature_set.outcome]
    counted = feature_set.large_of(entity)
    percents = sorted({percent for percent, _ in counted})
    large = [(LARGE + percents.index(percent), feature_set.activity.index(window)) for percent, window in counted]
    return Spec(
        unit,
        day,
        -(-(reach + _DISORDER) // day) * day,
        len(feature_set.activity),
        len(feature_set.outcome),
        np.array([*older, *younger], np.int64).reshape(-1, 3) // unit,
        np.array(feature_set.hops, np.int64) // unit,
        np.array(percents, np.float64) / 100,
        np.array(large, np.int64).reshape(-1, 2),
    )


@jit
def _new_view(spec: Spec) -> View:
    n = spec.borders.shape[0]
    return View(np.arange(n), np.zeros(n, np.int64), np.full(n, NEVER, np.int64), np.zeros((n, 3 + MOST_LARGE), np.int64))


@inlined
def _place_borders(spec: Spec, q: int, view: View) -> None:
    """Brings the view's borders to unit time q."""
    for i in range(view.order.shape[0]):
        border = view.order[i]
        hop, delay, distance = spec.borders[border]
        # From one row to the next most borders stand still and none overtakes another: two comparisons instead of a division and a sort.
        if not 0 <= q - delay - view.since[border] < hop:
            view.since[border] = (q - delay) // hop * hop
        place = view.since[border] - distance
        at = i
        while at > 0 and view.place[at - 1] < place:
            view.place[at], view.order[at] = view.place[at - 1], view.order[at - 1]
            at -= 1
        view.place[at], view.order[at] = place, border


@inlined
def _sum_tiles(tiles: Tiles, first: int, length: int, view: View) -> None:
    """Fills ``view.total`` in one walk from the youngest tile of the run to the oldest border."""
    count = amount = fraud = large = larger = 0
    at = first + length - 1
    for i in range(view.order.shape[0]):
        place = view.place[i]
        while at >= first and tiles.cell[at].start >= place:
            tile = tiles.cell[at]
            if tile.amount >= 0:
                count += tile.count
                amount += tile.amount
            elif tile.amount == -FRAUD:
                fraud += tile.count
            elif tile.amount == -LARGE:
                large += tile.count
            else:
                larger += tile.count
            at -= 1
        border = view.order[i]
        view.total[border, 0], view.total[border, 1], view.total[border, 2] = count, amount, fraud
        view.total[border, 3], view.total[border, 4] = large, larger


@inlined
def _finish(spec: Spec, keys: Keys, slot: int, anchor: int, amount: int, device: int, returns: bool, total: Int64, out: Float32) -> None:
    """Writes one key's features, in the order of ``FeatureSet.of``; divisions in float64, results in float32, NaN for missing."""
    key = keys.row[slot]
    i = 0
    for w in range(spec.activity):
        count = total[w, 0]
        mean = total[w, 1] / count if count != 0 else np.nan
        out[i] = count
        out[i + 1] = mean
        out[i + 2] = amount / mean if mean != 0.0 else np.nan
        i += 3
    if key.newest == NEVER:
        out[i], out[i + 1], out[i + 2] = np.nan, 0.0, np.nan
    else:
        out[i] = (anchor - key.newest) / 1000.0
        out[i + 1] = (anchor - key.first_seen) / 1000.0
        out[i + 2] = key.last_amount
    i += 3
    for w in range(spec.activity, spec.activity + spec.outcome):
        count = total[w, 0] - total[w + spec.outcome, 0]
        fraud = total[w, 2] - total[w + spec.outcome, 2]
        out[i] = count
        out[i + 1] = fraud
        out[i + 2] = fraud / count if count != 0 else np.nan
        i += 3
    for counted in range(spec.large.shape[0]):
        kind, w = spec.large[counted]
        out[i] = total[w, 1 + kind]
        i += 1
    if keys.device.shape[1]:
        _finish_devices(keys, slot, anchor, device, returns, out[i:])


@jit
def _finish_devices(keys: Keys, slot: int, anchor: int, device: int, returns: bool, out: Float32) -> None:
    known, at = 0, -1
    for d in range(0 if returns else keys.device.shape[1]):
        known += keys.device[slot, d] != 0
        if keys.device[slot, d] == device:
            at = d
    if device == 0:
        out[0], out[1] = np.nan, np.nan
    elif at < 0:
        out[0], out[1] = 1.0, 0.0
    else:
        out[0] = 0.0
        out[1] = (anchor - keys.device_first[slot, at]) / 1000.0
    out[2] = known


@jit
def _compact(spec: Spec, keys: Keys, tiles: Tiles, slot: int) -> None:
    """Drops the key's tiles that no window reaches from its anchor on, and merges the old ones.

    A tile merges into one of ``hops[c]`` if all of that lies before every border of a finer hop, so that none can ever split it.
    """
    key = keys.row[slot]
    q = key.anchor // spec.unit
    oldest = q
    reach = np.full(spec.hops.shape[0], q)
    for border in range(spec.borders.shape[0]):
        hop, delay, distance = spec.borders[border]
        place = (q - delay) // hop * hop - distance
        oldest = min(oldest, place)
        for c in range(1, spec.hops.shape[0]):
            if hop < spec.hops[c]:
                reach[c] = min(reach[c], place // spec.hops[c] * spec.hops[c])
    first = write = key.offset
    level = spec.hops.shape[0] - 1
    for read in range(first, first + key.length):
        tile = tiles.cell[read]
        start, amount, count = np.int64(tile.start), tile.amount, tile.count
        if start < oldest:
            continue
        while level > 0 and start >= reach[level]:
            level -= 1
        write = put_tile(tiles, first, write, start // spec.hops[level] * spec.hops[level], amount, count)
    key.length = write - first


@jit
def compact(spec: Spec, keys: Keys, tiles: Tiles, clock: Clock, slots: Int64) -> None:
    """Brings the tiles of the slots into their one canonical form; no window tells a difference."""
    for slot in slots:
        if not _forget_idle(spec, keys, tiles, slot, clock.floor[0]):
            _compact(spec, keys, tiles, slot)


@jit
def move_clock(spec: Spec, clock: Clock, source: int, time: int) -> None:
    """A source has come to another day."""
    clock.until[source] = time // spec.day * spec.day + spec.day
    behind = clock.until.min()
    if behind != NEVER:
        clock.floor[0] = behind - spec.day - spec.patience


@jit
def _forget_devices(keys: Keys, slot: int) -> bool:
    """Whether there were any."""
    known = False
    for d in range(keys.device.shape[1]):
        known |= keys.device[slot, d] != 0
        keys.device[slot, d] = keys.device_first[slot, d] = 0
    return known


@inlined
def _is_idle(spec: Spec, keys: Keys, tiles: Tiles, slot: int, floor: int) -> bool:
    """Whether nothing of a key is as young as the floor."""
    key = keys.row[slot]
    # A label may be ahead of its transaction.
    return key.anchor < floor and (not key.length or tiles.cell[key.offset + key.length - 1].start * spec.unit < floor)


@jit
def _forget_idle(spec: Spec, keys: Keys, tiles: Tiles, slot: int, floor: int) -> bool:
    """Whether a key had tiles or devices that it gave back, for it is idle."""
    if not _is_idle(spec, keys, tiles, slot, floor):
        return False
    key = keys.row[slot]
    known = _forget_devices(keys, slot)
    if key.size_class == 0:
        return known
    give_back(tiles, key.offset, key.size_class)
    key.offset = key.length = key.size_class = 0
    return True


@jit
def forget_idle(spec: Spec, keys: Keys, tiles: Tiles, clock: Clock, n: int) -> None:
    """Makes the idle ones of the first n keys give back their tiles and devices, and marks these keys as changed."""
    for slot in range(n):
        if _forget_idle(spec, keys, tiles, slot, clock.floor[0]):
            keys.row[slot].touched = UNPROJECTED | UNSAVED


@jit
def _grow(spec: Spec, keys: Keys, tiles: Tiles, slot: int) -> bool:
    """Makes room in a full run; False if the arena must grow first."""
    _compact(spec, keys, tiles, slot)
    key = keys.row[slot]
    size = key.size_class
    # A run that would soon be full again grows, so that each compaction pays for many rows.
    if key.length + 1 + spec.factors.shape[0] <= SIZES[size] * 7 // 8:
        return True
    wanted = size + 1
    first = tiles.free[wanted]
    if first >= 0:
        tiles.free[wanted] = tiles.cell[first].amount
    else:
        first = tiles.end[0]
        if first + SIZES[wanted] > tiles.cell.shape[0]:
            return False
        tiles.end[0] += SIZES[wanted]
    for i in range(key.length):
        tiles.cell[first + i] = tiles.cell[key.offset + i]
    if size > 0:
        give_back(tiles, key.offset, size)
    key.offset = first
    key.size_class = wanted
    return True


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
    clock: Clock,
    begin: int,
    kind: Int8,
    slots: Int64,
    source: Int64,
    time: Int64,
    amount: Int64,
    fraud: Int64,
    device: Int64,
    out: Float32,
    lateness: Int8,
    window: int,
    sums: Int64,
) -> int:
    """Applies rows in order from ``begin`` on; returns the first row not applied: all rows, or the one for which the arena must grow.

    A TRANSACTION row first writes its key's features to ``out`` (n × features), then counts; a LABEL row adds ``fraud`` (+1, 0 or −1) to
    the tile of its transaction's ``time``. A transaction, SEEN or not, moves the clock of its ``source``. ``lateness`` (ON_TIME before)
    becomes LATE behind the key's anchor, TOO_LATE if no window reaches the row or it lies before the floor. ``sums`` (n × 4, or 0 × 4 if
    nobody asks) gets what each transaction leaves behind: count and amount of the activity window number ``window`` at the key's anchor,
    and of all time.
    """
    view = _new_view(spec)
    floor = clock.floor[0]
    first_start = floor // spec.unit
    for row in range(begin, slots.shape[0]):
        if time[row] >= clock.until[source[row]] and (kind[row] == RecordKind.TRANSACTION or kind[row] == RecordKind.TRANSACTION + SEEN):
            move_clock(spec, clock, source[row], time[row])
            floor = clock.floor[0]
            first_start = floor // spec.unit
        if kind[row] >= SEEN:
            continue
        slot = slots[row]
        key = keys.row[slot]
        if key.anchor < floor:
            _forget_idle(spec, keys, tiles, slot, floor)
        # A transaction may make a tile of its own and one of each factor.
        if key.length + spec.factors.shape[0] >= SIZES[key.size_class] and not _grow(spec, keys, tiles, slot):
            return row
        key.touched = UNPROJECTED | UNSAVED
        start = time[row] // spec.unit
        if kind[row] == RecordKind.LABEL:
            _place_borders(spec, key.anchor // spec.unit, view)
            if start < max(view.place[-1], first_start):
                lateness[row] = Lateness.TOO_LATE
            elif fraud[row] != 0:
                add_to_tile(keys, tiles, slot, start, -FRAUD, fraud[row])
            continue
        before = key.anchor
        if time[row] < before:
            lateness[row] = Lateness.LATE
        else:
            key.anchor = time[row]
        _place_borders(spec, key.anchor // spec.unit, view)
        _sum_tiles(tiles, key.offset, key.length, view)
        # One whom no window remembers is not known by devices either.
        if keys.device.shape[1] and before // spec.unit < view.place[-1]:
            _forget_devices(keys, slot)
        _finish(spec, keys, slot, key.anchor, amount[row], device[row], False, view.total, out[row])
        if start < max(view.place[-1], first_start):
            lateness[row] = Lateness.TOO_LATE
        else:
            add_to_tile(keys, tiles, slot, start, amount[row], 1)
            mean = key.total_amount / key.total_count if key.total_count != 0 else 0.0
            for factor in range(spec.factors.shape[0]):
                if mean != 0.0 and amount[row] / mean > spec.factors[factor]:
                    add_to_tile(keys, tiles, slot, start, -(LARGE + factor), 1)
        key.total_count += 1
        key.total_amount += amount[row]
        if sums.shape[0]:
            reached = lateness[row] != Lateness.TOO_LATE and start >= view.since[window] - spec.borders[window, 2]
            sums[row, 0] = view.total[window, 0] + reached
            sums[row, 1] = view.total[window, 1] + reached * amount[row]
            sums[row, 2], sums[row, 3] = key.total_count, key.total_amount
        if key.first_seen == NEVER or time[row] < key.first_seen:
            key.first_seen = time[row]
        if time[row] >= key.newest:
            key.newest = time[row]
            key.last_amount = amount[row]
        if device[row] != 0 and keys.device.shape[1]:
            _remember_device(keys, slot, device[row], time[row])
    return len(slots)


@jit
def find_horizons(spec: Spec, keys: Keys, clock: Clock, slots: Int64, out: Int64) -> None:
    """Writes the unit time before which no window reaches, by each slot's anchor and the floor, to ``out``; rows before it are TOO_LATE."""
    view = _new_view(spec)
    for i in range(slots.shape[0]):
        _place_borders(spec, keys.row[slots[i]].anchor // spec.unit, view)
        out[i] = max(view.place[-1], clock.floor[0] // spec.unit)


@jit
def observe_rows(
    spec: Spec, keys: Keys, tiles: Tiles, clock: Clock, slots: Int64, time: Int64, amount: Int64, device: Int64, out: Float32
) -> None:
    """Writes each row's features at ``max(time, the key's anchor)`` to ``out`` and changes nothing."""
    view = _new_view(spec)
    for row in range(slots.shape[0]):
        slot = slots[row]
        key = keys.row[slot]
        anchor = max(key.anchor, time[row])
        _place_borders(spec, anchor // spec.unit, view)
        # A key may have become idle since the clock last moved, by a label taken back or a device of one who is too late.
        idle = _is_idle(spec, keys, tiles, slot, clock.floor[0])
        _sum_tiles(tiles, key.offset, 0 if idle else key.length, view)
        returns = idle or key.anchor // spec.unit < view.place[-1]
        _finish(spec, keys, slot, anchor, amount[row], device[row], returns, view.total, out[row])


def start_clock(sources: int) -> Clock:
    """Nothing of any source was seen."""
    return Clock(np.full(sources, NEVER, np.int64), np.full(1, NEVER, np.int64))


@jit
def sum_window(length: int, hop: int, unit: int, keys: Keys, tiles: Tiles, slots: Int64, count: Int64, amount: Int64) -> None:
    """Adds up what an undelayed window (lengths in units of the finest hop) covers of each slot at its anchor, into ``count`` and
    ``amount`` (0 before); a key without an anchor keeps 0."""
    for row in range(slots.shape[0]):
        key = keys.row[slots[row]]
        if key.anchor == NEVER:
            continue
        tail = key.anchor // unit // hop * hop - length
        for at in range(key.offset + key.length - 1, key.offset - 1, -1):
            tile = tiles.cell[at]
            if tile.start < tail:
                break
            if kind_of(tile.amount) == ACTIVITY:
                count[row] += tile.count
                amount[row] += tile.amount
