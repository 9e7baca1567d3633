"""Histories, states and snapshots for the tests of the online store."""

from dataclasses import dataclass

import numpy as np

from features.arrays import Int64
from features.definitions import DAY, FEATURE_SETS, Entity, FeatureSet
from features.online.snapshot import Snapshot
from features.state import EntityState
from features.vector import device_hashes
from streams.online.changes import snapshot

V1, V2 = FEATURE_SETS["fraud_v1"], FEATURE_SETS["fraud_v2"]
START = 1_700_000_000_000


@dataclass(frozen=True)
class History:
    """Transactions in the order of their log, which is not quite that of their event times."""

    user: list[str]
    merchant: list[str]
    device: list[str | None]
    time: Int64
    amount: Int64

    def keys(self, entity: Entity) -> list[str]:
        return self.user if entity == "user" else self.merchant


def history(seed: int, n: int = 2_000, users: int = 20, merchants: int = 15, days: int = 90) -> History:
    rng = np.random.default_rng(seed)
    # A square of a uniform leaves keys with very few events, and with gaps longer than any window.
    user, merchant = (np.floor(rng.random(n) ** 2 * keys).astype(int) for keys in (users, merchants))
    ordered = np.sort(rng.integers(START, START + days * DAY, n))
    late = np.where(rng.random(n) < 0.1, rng.integers(0, 2 * DAY, n), 0)
    device = [None if chosen == 3 else f"d{chosen}" for chosen in rng.integers(0, 4, n)]
    return History([f"u{i}" for i in user], [f"m{i}" for i in merchant], device, ordered - late, rng.integers(0, 50_000, n))


def state_of(entity: Entity, log: History, feature_set: FeatureSet = V1) -> EntityState:
    """The state after all of the log."""
    state = EntityState(feature_set, entity)
    none = np.zeros(len(log.time), np.int64)
    state.apply(none.astype(np.int8), state.slots(log.keys(entity)), log.time, log.amount, none, device_hashes(log.device))
    return state


def label_only(state: EntityState, key: str) -> None:
    """Makes the key known from a label and nothing else."""
    one = np.ones(1, np.int64)
    state.apply(one.astype(np.int8), state.slots([key]), START * one, 0 * one, one, 0 * one)


def whole(state: EntityState, partition: int = 0, position: int = 100) -> Snapshot:
    return snapshot(state, partition, position, everything=True)
