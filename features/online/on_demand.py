"""The model's input for a transaction at hand, finished at its own time from the two encoded states that the online store holds.

This is what runs inside Feast's on-demand feature views: they hand over what they read, and hand back what ``finish`` returns.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from features.arrays import Float32
from features.definitions import FEATURE_SETS, Entity, FeatureSet
from features.online.views import JOIN_KEYS, feature_set_of
from features.state import EntityState
from features.vector import assemble, device_hashes

# When a repository is applied, Feast calls an on-demand view with this for every Bytes value, to see what columns come out.
FEAST_PROBE = b"hello world"


def vector(
    feature_set: FeatureSet,
    user_state: bytes | None,
    merchant_state: bytes | None,
    event_time: int,
    amount: int,
    device_id: str | None = None,
) -> Float32:
    """The vector (float32, len(names)) of a transaction at ``event_time`` (ms) of ``amount`` (minor units).

    The states are as encoded for this feature set, None for a key that was never seen. The anchor of each is the later of the event time
    and its last anchor. Raises ValueError if the bytes are of another layout.
    """
    times, amounts = np.array([event_time], np.int64), np.array([amount], np.int64)
    devices = device_hashes([device_id])

    def observe(entity: Entity, encoded: bytes | None) -> Float32:
        state = EntityState(feature_set, entity, capacity=1)
        slots = state.slots(["key"]) if encoded is None else state.restore(["key"], [encoded])
        return state.observe(slots, times, amounts, devices)

    vectors = assemble(feature_set, times, amounts, observe("user", user_state), observe("merchant", merchant_state))
    return vectors.reshape(-1)


def vector_of_request(feature_set: FeatureSet, event_time: int, amount: int) -> Float32:
    """The vector (float32, len(names)) of what follows from a request alone (ms, minor units), the rest missing (NaN)."""
    of_user, of_merchant = (np.full((1, len(feature_set.of(entity))), np.nan, np.float32) for entity in JOIN_KEYS)
    return assemble(feature_set, np.array([event_time], np.int64), np.array([amount], np.int64), of_user, of_merchant).reshape(-1)


def finish(name: str, inputs: Mapping[str, Sequence[Any]]) -> dict[str, list[np.float32]]:
    """The features of set ``name`` for each row of what Feast read: a column (float32; NaN for missing) a feature, in their order.

    ``inputs`` has the columns of both state views and of the request. States kept for another feature set will do if that has all the
    features asked for. Raises ValueError if it hasn't, or if a request lacks its time or amount.
    """
    wanted = FEATURE_SETS[name]
    rows = range(len(inputs["event_time"]))
    devices = inputs.get("device_id", [None] * len(rows))
    out = np.empty((len(rows), len(wanted.names)), np.float32)
    for row in rows:
        event_time, amount = inputs["event_time"][row], inputs["amount"][row]
        if event_time is None or amount is None:
            raise ValueError(f"row {row} of the request lacks its event_time (ms UTC) or amount (minor units); give both")
        kept = _kept_for(wanted, inputs["user_digest"][row], inputs["merchant_digest"][row])
        user, merchant = _state(inputs["user_state"][row]), _state(inputs["merchant_state"][row])
        features = vector(kept, user, merchant, event_time, amount, devices[row])
        out[row] = features if kept is wanted else features[[kept.names.index(feature) for feature in wanted.names]]
    columns = {feature: list(out[:, column]) for column, feature in enumerate(wanted.names)}
    # With ``full_feature_names`` Feast looks for these names, and takes no others.
    return columns | {f"{name}__{feature}": column for feature, column in columns.items()}


def _state(value: bytes | None) -> bytes | None:
    return None if value == FEAST_PROBE else value


def _kept_for(wanted: FeatureSet, *digests: str | None) -> FeatureSet:
    """The feature set that the states were kept for; all have the same, and what was never seen has none."""
    known = {digest for digest in digests if digest is not None} - {wanted.digest, FEAST_PROBE.decode()}
    if not known:
        return wanted
    kept = [feature_set_of(digest) for digest in sorted(known)]
    if len(set(digests) - {None}) > 1 or not set(wanted.names) <= set(kept[0].names):
        raise ValueError(
            f"the online states were kept for {' and '.join(sorted(k.name for k in kept))}, which doesn't give {wanted.name}; "
            f"run all workers with {wanted.name}"
        )
    return kept[0]
