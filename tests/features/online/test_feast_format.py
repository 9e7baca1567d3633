"""What we write to Redis is, byte for byte, what Feast would write."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from feast import FeatureStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from features.definitions import Entity
from features.online.feast_format import bytes_value, double_value, int64_value, string_value, timestamp_value
from features.online.feast_store import OnlineWriter
from features.online.snapshot import Snapshot, Summary
from features.online.views import JOIN_KEYS
from features.tiles import NEVER
from tests.run.redis_server import RedisServer

KEYS = ["u1", "", "a longer key, with spaces", "zwölf €", "0"]


def made(entity: Entity) -> Snapshot:
    rng = np.random.default_rng(3)
    n = len(KEYS)
    counts = np.array([1, 2, 0, 129, 2**40])
    summary = Summary(counts, counts * 123_457, counts + 1, counts * 9_999_999_999 // 7 + 5) if entity == "user" else None
    return Snapshot(
        entity=entity,
        digest="d" * 64,
        partition=3,
        position=1,
        keys=KEYS,
        states=[rng.bytes(int(size)) for size in (0, 1, 127, 128, 70_000)],
        anchors=np.array([1_700_000_000_000, 1_700_000_000_001, 999, NEVER, 1_000][:n], np.int64),
        summary=summary,
    )


def write_by_feast(store: FeatureStore, snapshot: Snapshot) -> None:
    """The same through Feast's own writing."""
    rows: dict[str, list[dict[str, Value]]] = {
        f"{snapshot.entity}_state": [
            {
                f"{snapshot.entity}_state": Value(bytes_val=state),
                f"{snapshot.entity}_partition": Value(int64_val=snapshot.partition),
                f"{snapshot.entity}_offset": Value(int64_val=snapshot.position - 1),
                f"{snapshot.entity}_digest": Value(string_val=snapshot.digest),
            }
            for state in snapshot.states
        ]
    }
    if snapshot.summary is not None:
        of = snapshot.summary
        for view, mean, count, columns in (
            ("transaction_stats", "avg_transaction_amount", "transaction_count", (of.window_count, of.window_amount)),
            ("user_transaction_stats", "avg_amount", "count", (of.count, of.amount)),
        ):
            rows[view] = [
                {mean: Value(double_val=int(amount) / int(n)) if n else Value(), count: Value(int64_val=int(n))}
                for n, amount in zip(*columns, strict=True)
            ]
    keys = [EntityKey(join_keys=[JOIN_KEYS[snapshot.entity]], entity_values=[Value(string_val=key)]) for key in snapshot.keys]
    times = [datetime.fromtimestamp(0 if anchor == NEVER else anchor / 1000, UTC) for anchor in snapshot.anchors.tolist()]
    for view, values in rows.items():
        batch: list[tuple[EntityKey, dict[str, Value], datetime, datetime | None]]
        batch = [(key, row, time, None) for key, row, time in zip(keys, values, times, strict=True)]
        store.provider.online_write_batch(store.config, store.get_feature_view(view), batch, None)


@pytest.mark.parametrize("entity", ["user", "merchant"])
def test_we_write_what_feast_s_online_write_batch_writes(entity: Entity, repo: Path, store_server: RedisServer) -> None:
    snapshot = made(entity)

    def stored() -> dict[bytes, dict[bytes, bytes]]:
        with store_server.client() as client:
            found = {key: client.hgetall(key) for key in client.scan_iter(b"*_id*")}
            client.flushall()
        return found

    OnlineWriter(repo, "app", "stage").write(snapshot)
    ours = stored()
    write_by_feast(FeatureStore(repo_path=str(repo)), snapshot)
    assert len(ours) == len(KEYS)
    assert ours == stored()


@given(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(), st.binary(max_size=300))
def test_values_are_feast_s_protobuf(integer: int, number: float, text: str, raw: bytes) -> None:
    assert int64_value(integer) == Value(int64_val=integer).SerializeToString()
    assert double_value(number) == Value(double_val=number).SerializeToString()
    assert string_value(text) == Value(string_val=text).SerializeToString()
    assert bytes_value(raw) == Value(bytes_val=raw).SerializeToString()


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_times_are_protobuf_timestamps(time: int) -> None:
    assert timestamp_value(time) == Timestamp(seconds=time // 1000, nanos=time % 1000 * 1_000_000).SerializeToString()
