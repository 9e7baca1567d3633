"""A state topic in memory."""

from collections.abc import Sequence

import numpy as np

from streams.state import saved_state
from streams.state.saved_state import Savable
from streams.state.users import IngestState


def contents(state: Savable) -> tuple[object, ...]:
    """All that a state knows, in canonical form."""
    entity = state.entity
    slots = np.arange(len(entity))
    of_key = zip(entity.names, entity.encode(slots), state.labels(entity.names, 2**62), strict=True)
    memory = state.taken._taken if isinstance(state, IngestState) else None
    return {name: rest for name, *rest in of_key}, state.progress(), memory


class Topic(dict[bytes, bytes]):
    """A compacted topic's partition."""

    def write(self, records: Sequence[saved_state.SavedRecord]) -> None:
        for key, value in records:
            if value is None:
                del self[key]
            else:
                self[key] = value
