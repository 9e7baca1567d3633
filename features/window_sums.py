"""Exact sums of one window, for those who look a key up; a model's features are float32."""

import numpy as np

from features.compiled import jit
from features.definitions import Window
from features.state import EntityState
from features.windows import ACTIVITY, NEVER, Int64, Keys, Tiles, kind_of


@jit
def _sums(length: int, hop: int, unit: int, keys: Keys, tiles: Tiles, slots: Int64, count: Int64, amount: Int64) -> None:
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


def window_sums(state: EntityState, window: Window, slots: Int64) -> tuple[Int64, Int64]:
    """Count and amount (int64, minor units) of each slot's window at its anchor, the last transaction included; 0 for a key without any.

    ``window`` must be an undelayed one of the state's feature set.
    """
    if window not in state.feature_set.activity:
        raise ValueError(f"window {window.name} is no activity window of feature set {state.feature_set.name}")
    count, amount = np.zeros(len(slots), np.int64), np.zeros(len(slots), np.int64)
    unit = state.feature_set.hops[0]
    _sums(window.length // unit, window.hop // unit, unit, state._rows, state._tiles, slots, count, amount)
    return count, amount
