"""A partition's state as it goes to the online store: the keys that changed since it was last asked."""

import numpy as np

from features.online.snapshot import Snapshot, Summary
from features.online.views import stats_window
from features.state import EntityState
from features.windows import UNPROJECTED


def snapshot(state: EntityState, partition: int, position: int, *, everything: bool = False) -> Snapshot:
    """Encodes the keys touched since the last call (all keys if ``everything``) and takes note that they are no longer touched.

    ``position`` is the next offset of the source partition: every record before it is in the state, and no other. Keys come in the order
    of their first sight.
    """
    touched = state.take_changed(UNPROJECTED)
    slots = np.arange(len(state), dtype=np.int64) if everything else touched
    summary = None
    if state.entity == "user":
        summary = Summary(*state.window_sums(stats_window(state.feature_set), slots), *state.totals(slots))
    return Snapshot(
        entity=state.entity,
        digest=state.feature_set.digest,
        partition=partition,
        position=position,
        keys=[state.names[slot] for slot in slots.tolist()],
        states=state.encode(slots),
        anchors=state.anchors(slots),
        summary=summary,
        everything=everything,
    )
