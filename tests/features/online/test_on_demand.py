"""Any Feast client gets, for a transaction at hand, the vector that the stream would compute: bit for bit."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from feast import FeatureStore

from features.arrays import Float32
from features.definitions import DAY, FEATURE_SETS, HOUR, FeatureSet
from features.online.feast_store import OnlineReader, OnlineWriter
from features.online.on_demand import finish, vector
from features.state import EntityState
from features.vector import assemble, device_hashes
from tests.made.online_states import V1, V2, History, history, label_only, state_of, whole

ROOT = Path(__file__).parents[3]


def write(repo: Path, log: History, feature_set: FeatureSet = V1) -> tuple[EntityState, EntityState]:
    users, merchants = state_of("user", log, feature_set), state_of("merchant", log, feature_set)
    label_only(users, "labelled")
    OnlineWriter(repo, "app", "ingest").write(whole(users))
    OnlineWriter(repo, "app", "score").write(whole(merchants))
    return users, merchants


def requests(log: History) -> list[dict[str, Any]]:
    """Before, at and long after the keys' last events; known and unknown keys."""
    last = int(log.time.max())
    times = [last - 3 * DAY, last, last + 1, last + 5 * HOUR, last + 10 * DAY, last + 400 * DAY]
    pairs = [("u0", "m0"), ("u7", "m3"), ("nobody", "m1"), ("u2", "nowhere"), ("nobody", "nowhere"), ("labelled", "m2")]
    return [
        {"user_id": user, "merchant_id": merchant, "event_time": time, "amount": 100 * row + 1, "device_id": [None, "d1", "new"][row % 3]}
        for row, (time, (user, merchant)) in enumerate((time, pair) for time in times for pair in pairs)
    ]


def by_kernel(users: EntityState, merchants: EntityState, asked: list[dict[str, Any]]) -> Float32:
    """The vectors from the states themselves, all at once; asking for a key makes it one, so this comes last."""
    time, amount = (np.array([row[name] for row in asked], np.int64) for name in ("event_time", "amount"))
    device = device_hashes([row["device_id"] for row in asked])
    users_seen = users.observe(users.slots([row["user_id"] for row in asked]), time, amount, device)
    merchants_seen = merchants.observe(merchants.slots([row["merchant_id"] for row in asked]), time, amount, device)
    return assemble(users.feature_set, time, amount, users_seen, merchants_seen)


def by_feast(store: FeatureStore, name: str, asked: list[dict[str, Any]]) -> Float32:
    found = store.get_online_features(store.get_feature_service(name), asked).to_dict()
    columns = [[np.nan if value is None else value for value in found[feature]] for feature in FEATURE_SETS[name].names]
    return np.array(columns, np.float32).T


def assert_same_bits(left: Float32, right: Float32) -> None:
    assert left.shape == right.shape
    assert left.dtype == right.dtype == np.float32
    # All missing values are the one NaN.
    left, right = (np.ascontiguousarray(np.where(np.isnan(each), np.float32(np.nan), each)) for each in (left, right))
    assert left.tobytes() == right.tobytes()


@pytest.mark.parametrize("feature_set", [V1, V2], ids=lambda feature_set: feature_set.name)
def test_the_feature_service_s_vectors_are_the_kernel_s(feature_set: FeatureSet, repo: Path) -> None:
    log = history(1)
    users, merchants = write(repo, log, feature_set)
    asked = requests(log)
    store = FeatureStore(repo_path=str(repo))
    together = by_feast(store, feature_set.name, asked)
    one_by_one = np.concatenate([by_feast(store, feature_set.name, [row]) for row in asked])
    expected = by_kernel(users, merchants, asked)
    assert_same_bits(together, expected)
    assert_same_bits(one_by_one, expected)


def test_a_smaller_set_is_served_from_the_states_of_a_larger_one(repo: Path) -> None:
    log = history(1)
    users, merchants = write(repo, log, V2)
    asked = requests(log)
    expected = by_kernel(users, merchants, asked)[:, [V2.names.index(name) for name in V1.names]]
    assert_same_bits(by_feast(FeatureStore(repo_path=str(repo)), "fraud_v1", asked), expected)


def test_features_that_the_states_can_t_give_are_refused(repo: Path) -> None:
    log = history(1)
    write(repo, log, V1)
    with pytest.raises(ValueError, match="kept for fraud_v1, which doesn't give fraud_v2; run all workers with fraud_v2"):
        by_feast(FeatureStore(repo_path=str(repo)), "fraud_v2", requests(log))


def test_states_of_an_unknown_version_are_refused() -> None:
    states = {
        f"{entity}_{what}": [value] for entity in ("user", "merchant") for what, value in (("state", b"\x09\x00"), ("digest", "f" * 64))
    }
    with pytest.raises(ValueError, match="doesn't know"):
        finish("fraud_v1", {**states, "event_time": [1_700_000_000_000], "amount": [1]})


def test_the_reader_s_states_give_the_same_vector(repo: Path) -> None:
    log = history(1)
    users, merchants = write(repo, log)
    asked, reader = requests(log), OnlineReader(repo)
    found = []
    for row in asked:
        user, merchant = reader.states(row["user_id"], row["merchant_id"])
        encoded = [None if state is None else state.state for state in (user, merchant)]
        found.append(vector(V1, encoded[0], encoded[1], row["event_time"], row["amount"], row["device_id"]))
    assert_same_bits(np.array(found), by_kernel(users, merchants, asked))


def test_keys_never_seen_have_counts_of_zero_and_nothing_else(repo: Path) -> None:
    asked = [{"user_id": "nobody", "merchant_id": "nowhere", "event_time": 1_700_000_000_000, "amount": 5}]
    found = FeatureStore(repo_path=str(repo)).get_online_features([f"fraud_v1:{name}" for name in V1.names], asked).to_dict()
    for feature in V1.features:
        expected = 0 if feature.measure in ("tx_count", "matured_count", "fraud_count", "age_seconds") else None
        if feature.entity != "request":
            assert found[feature.name] == [expected], feature.name


def test_the_request_s_time_and_amount_must_be_there(repo: Path) -> None:
    row = {"user_id": "nobody", "merchant_id": "nowhere", "event_time": None, "amount": 5}
    store = FeatureStore(repo_path=str(repo))
    with pytest.raises(ValueError, match="lacks its event_time"):
        store.get_online_features(["fraud_v1:amount"], [row])


def test_full_feature_names(repo: Path) -> None:
    log = history(1)
    write(repo, log)
    row = requests(log)[0]
    store = FeatureStore(repo_path=str(repo))
    service = store.get_feature_service("fraud_v1")
    short = store.get_online_features(service, [row]).to_dict()
    full = store.get_online_features(service, [row], full_feature_names=True).to_dict()
    assert {name: full[f"fraud_v1__{name}"] for name in V1.names} == {name: short[name] for name in V1.names}


def test_another_process_that_opens_the_repository_by_path(repo: Path, tmp_path: Path) -> None:
    log = history(1)
    users, merchants = write(repo, log)
    row = requests(log)[1]
    script = (
        "import sys; from feast import FeatureStore; store = FeatureStore(repo_path=sys.argv[1])\n"
        f"import json; print(json.dumps(store.get_online_features(store.get_feature_service('fraud_v1'), [{row!r}]).to_dict()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(repo)], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    values = [np.nan if found[name][0] is None else found[name][0] for name in V1.names]
    assert_same_bits(np.array([values], np.float32), by_kernel(users, merchants, [row]))
