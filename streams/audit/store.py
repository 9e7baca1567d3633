"""Audits what the online store serves: is each key's state the one that the logs give at the position that it names?"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from features.arrays import Float32
from features.definitions import Entity, FeatureSet
from features.state import EntityState
from streams.audit.auditor import Auditor
from streams.audit.causes import Cause
from streams.audit.recomputation import StateAt
from streams.audit.scored import Difference, differences
from streams.messages.partitioner import partition_of

KeyName = tuple[Entity, str]


class Served(Protocol):
    """What the store serves of a key; see ``feast_online.KeyState``."""

    @property
    def state(self) -> bytes: ...  # noqa: D102
    @property
    def partition(self) -> int: ...  # noqa: D102
    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def digest(self) -> str: ...  # noqa: D102


class StoreMismatch(NamedTuple):
    """A key of which the store doesn't serve what it must; the features are those at the later of the two anchors."""

    entity: Entity
    key: str
    cause: Cause
    sentence: str
    differences: Sequence[Difference] = ()


class StoreFindings(NamedTuple):
    """Which keys are served wrongly, and which are right as of a position after which they have changed."""

    wrong: list[StoreMismatch]
    behind: list[KeyName]


def keys_to_check(auditor: Auditor, most: int) -> list[KeyName]:
    """Up to ``most`` users and as many merchants, evenly spread over all that are known."""
    found: list[KeyName] = []
    recomputed = auditor.recomputation
    for entity, states in (("user", recomputed.users), ("merchant", recomputed.merchants)):
        names = [name for state in states for name in state.entity.names]
        step = max(1.0, len(names) / most) if most else 1.0
        found += [(entity, names[int(i * step)]) for i in range(min(most, len(names)))]  # type: ignore[misc]
    return found


def compare(feature_set: FeatureSet, auditor: Auditor, served: Mapping[KeyName, Served | None]) -> StoreFindings:
    """Compares what was served with the states of the logs, which may have gone on meanwhile; they are followed as far as need be."""
    wrong, behind = [], []
    named: dict[KeyName, StateAt] = {}
    for (entity, key), found in served.items():
        if found is None:
            wrong.append(StoreMismatch(entity, key, "lag", "the store has nothing of it"))
        elif found.digest != feature_set.digest:
            sentence = f"its state is kept for features of digest {found.digest[:12]}, not for {feature_set.name}"
            wrong.append(StoreMismatch(entity, key, "definition version", sentence))
        elif found.partition != (belongs := _partition(auditor, entity, key)):
            sentence = f"it names partition {found.partition} as its source, the key belongs on {belongs}"
            wrong.append(StoreMismatch(entity, key, "unknown", sentence))
        else:
            named[entity, key] = StateAt(entity, found.partition, found.offset, key)
    expected = auditor.states([at for at in named.values() if at.offset >= auditor.recomputation.position(at.entity, at.partition)])
    # Most keys haven't changed since they were written: only the others need a look at the logs as they were then.
    doubtful = {name: at for name, at in named.items() if _state(served, name) != _present(auditor, at)}
    expected |= auditor.states([at for at in doubtful.values() if at not in expected])
    for (entity, key), at in doubtful.items():
        # What was before all that is known still has had time enough to be followed.
        state, should = _state(served, (entity, key)), expected.get(at, _state(served, (entity, key)))
        if state == should:
            behind.append((entity, key))
        else:
            sentence = f"its state isn't that of the logs up to offset {at.offset} of partition {at.partition}"
            wrong.append(StoreMismatch(entity, key, "unknown", sentence, _differences(feature_set, entity, state, should)))
    return StoreFindings(wrong, behind)


def lagging(behind: Sequence[KeyName], waited_s: float) -> list[StoreMismatch]:
    """Keys that are still behind after so long a wait."""
    return [StoreMismatch(entity, key, "lag", f"what happened to it was not there {waited_s:g} s later either") for entity, key in behind]


def _partition(auditor: Auditor, entity: Entity, key: str) -> int:
    recomputed = auditor.recomputation
    return partition_of(key.encode(), len(recomputed.users if entity == "user" else recomputed.merchants))


def _state(served: Mapping[KeyName, Served | None], name: KeyName) -> bytes:
    found = served[name]
    return b"" if found is None else found.state


def _present(auditor: Auditor, at: StateAt) -> bytes | None:
    recomputed = auditor.recomputation
    state = (recomputed.users[at.partition] if at.entity == "user" else recomputed.merchants[at.partition]).entity
    slot = state.keys.get(at.key)
    return None if slot is None else state.encode(np.array([slot], np.int64))[0]


def _differences(feature_set: FeatureSet, entity: Entity, served: bytes, expected: bytes | None) -> list[Difference]:
    """None if what is served can't be read, or nothing is expected."""
    try:
        states = [_restored(feature_set, entity, encoded) for encoded in (served, expected) if encoded is not None]
    except ValueError:
        return []
    if len(states) < 2:
        return []
    slots, nothing = np.zeros(1, np.int64), np.zeros(1, np.int64)
    time = np.maximum(*(state.anchors(slots) for state in states))
    one, other = (_of(state, time, nothing) for state in states)
    return differences([feature.name for feature in feature_set.of(entity)], one, other)


def _restored(feature_set: FeatureSet, entity: Entity, encoded: bytes) -> EntityState:
    state = EntityState(feature_set, entity, capacity=1)
    state.restore(["key"], [encoded])
    return state


def _of(state: EntityState, time: np.ndarray, nothing: np.ndarray) -> Float32:
    return np.asarray(state.observe(nothing, time, nothing, nothing)[0])
