"""States: of one key, as the online store and the state topics hold them; of a partition, as its state topic does."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import structs

from features.definitions import DAY, FEATURE_SETS, FeatureSet
from features.online.feast_format import hset_commands
from features.state import EntityState
from streams.ingest import ingest
from streams.messages.batches import Batch
from streams.online.changes import snapshot
from streams.score import advance
from streams.state import saved_state
from streams.state.merchants import ScoreState
from streams.state.saved_state import Savable, Saver
from streams.state.users import IngestState
from tests.made.records import FRAUD_V1, ingest_state, received, routed
from tests.made.saved_states import Topic
from tests.upgrade.given import FEATURE_SET, START, log
from tests.upgrade.golden import exact, packed, unpacked

NEXT = START + 52 * DAY
SAVED = 12


def files() -> dict[str, object]:
    """What this program writes, by file."""
    return {
        "feature_sets.json": {name: {"digest": each.digest, "names": each.names} for name, each in FEATURE_SETS.items()},
        "states.json": {name: _states(feature_set) for name, feature_set in FEATURE_SETS.items()},
        "saved_ingest.json": _saved("ingest", saved_ingest()),
        "saved_score.json": _saved("score", saved_score()),
        "online.json": _online(),
    }


def empty(stage: str) -> IngestState | ScoreState:
    """A state that knows nothing, of the numbers of partitions that the saved ones have."""
    return ingest_state(2, feature_set=FEATURE_SET) if stage == "ingest" else ScoreState(FEATURE_SET, 2, 1, "EUR")


def batches(feature_set: FeatureSet = FEATURE_SET) -> list[Batch]:
    """The log as the one merchant partition of a deployment that has one."""
    return received(routed(ingest_state(feature_set=feature_set), log(), [4, 9]), feature_set=feature_set)


def known(state: EntityState) -> dict[str, Any]:
    """All that there is to know of each key: what its next transaction would see, and what its windows and horizon are."""
    slots = np.arange(len(state))
    count, amount = state.totals(slots)
    nothing = np.zeros(len(slots), np.int64)
    vectors = state.observe(slots, nothing + NEXT, nothing + 1_000, nothing + 77)
    return {
        name: {
            "vector": exact(vectors[slot]),
            "totals": [int(count[slot]), int(amount[slot])],
            "anchor": int(state.anchors(slots)[slot]),
            "horizon": int(state.horizons(slots)[slot]),
        }
        for name, slot in sorted(state.keys.items())
    }


def known_of_keys(feature_set: FeatureSet, entity: Any, encoded: Mapping[str, str], clock: Sequence[int]) -> dict[str, Any]:
    """The same of keys restored from their bytes (base64), and their partition's clock."""
    state = EntityState(feature_set, entity)
    state.set_clock(clock)
    state.restore(list(encoded), [unpacked(value) for value in encoded.values()])
    return known(state)


def known_of_partition(state: Savable) -> dict[str, Any]:
    """All that a partition's state knows beside its keys, and those."""
    progress = state.progress()
    entity = state.entity
    labels = state.labels(entity.names, 0)
    return {
        "keys": known(entity),
        "labels": {name: packed(label) for name, label in sorted(zip(entity.names, labels, strict=True))},
        "partitions": progress.partitions,
        "counterparts": progress.counterparts,
        "marks": {str(number): mark for number, mark in sorted(progress.marks.items())},
        "clock": list(progress.clock),
        "ahead": dict(sorted(state.ahead.items())),
        "failed": sorted(map(list, state.failed)),
    }


def saved_ingest() -> dict[bytes, bytes]:
    """The state topic after all of the log: whole up to record ``SAVED``, of which another round has begun and not ended."""
    state, topic = ingest_state(2, feature_set=FEATURE_SET), Topic()
    saver = Saver(state)
    ingest([(state, log()[:SAVED])], Counter())
    while saver.saved != SAVED:
        topic.write(saver.chunk(SAVED, 1))
    topic.write([saved_state.failed_record((0, 11))])
    ingest([(state, log()[SAVED:])], Counter())
    topic.write(saver.chunk(len(log()), 1))
    return topic


def saved_score() -> dict[bytes, bytes]:
    state, topic = ScoreState(FEATURE_SET, 2, 1, "EUR"), Topic()
    advance([(state, batches())], Counter())
    saver = Saver(state)
    while saver.saved != 3:
        topic.write(saver.chunk(3, 2))
    topic.write([saved_state.variant_record(state.merchants, 0, {"model_digest": "d" * 64, "control_revision": 3})])
    return topic


def restored(stage: str, records: Mapping[str, str]) -> tuple[Savable, int | None]:
    """A state from the records of a golden file, and up to where it was saved. Raises as ``saved_state.restore``."""
    state = empty(stage)
    found = saved_state.restore(state, {name.encode(): unpacked(value) for name, value in records.items()}, f"state-{stage}[0]")
    return state, found.saved


def goes_on(state: Savable, saved: int) -> dict[str, Any]:
    """What an INGEST state knows once it has taken the log from ``saved`` on and a few records more."""
    assert isinstance(state, IngestState)
    more = [*log(), *(structs.replace(record, offset=len(log()) + n) for n, record in enumerate(log()))]
    counts: Counter[str] = Counter()
    state.failed = set()
    ingest([(state, more[saved : len(log())])], Counter())
    state.ahead = {}
    sent = ingest([(state, more[len(log()) :])], counts)
    return {"counts": dict(counts), "sent": [[packed(one.value), one.headers] for one in sent], **known_of_partition(state)}


def _states(feature_set: FeatureSet) -> dict[str, Any]:
    source, target = ingest_state(feature_set=feature_set), ScoreState(feature_set, 1, 1, "EUR")
    ingest([(source, log())], Counter())
    advance([(target, batches(feature_set))], Counter())
    return {
        state.entity: {
            "states": dict(zip(state.names, map(packed, state.encode(np.arange(len(state)))), strict=True)),
            "clock": state.clock,
            "known": known(state),
        }
        for state in (source.users, target.merchants)
    }


def _saved(stage: str, topic: Mapping[bytes, bytes]) -> dict[str, Any]:
    records = {name.decode(): packed(value) for name, value in topic.items()}
    state, saved = restored(stage, records)
    return {"records": records, "saved": saved, "known": known_of_partition(state)}


def _online() -> list[list[str]]:
    """The commands by which a user's and a merchant's states come into Redis."""
    state = ingest_state(feature_set=FRAUD_V1)
    ingest([(state, log())], Counter())
    merchants = ScoreState(FRAUD_V1, 1, 1, "EUR")
    advance([(merchants, batches(FRAUD_V1))], Counter())
    written = [
        *hset_commands(snapshot(state.users, 0, 16, everything=True)),
        *hset_commands(snapshot(merchants.merchants, 0, 3, everything=True)),
    ]
    return [list(map(packed, command)) for command in written]
