"""One definition: stream, API, backtest, Spark and Feast give the same vectors for the same transactions, bit for bit.

A feature set that is defined takes part by itself; so does one that is only defined here.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from feast import FeatureStore

from features.arrays import Float32, Lateness, RecordKind
from features.backfill import spark_backfill
from features.backfill.plan import plan_backfill
from features.definitions import ACTIVITY_WINDOWS, DAY, FEATURE_SETS, HOUR, MINUTE, Entity, FeatureSet, Window
from features.history.log import HistoryLog, vectors
from features.offline import spark_session
from features.offline.storage import Storage
from features.online import feast_repo_writer
from features.online.feast_views import objects
from features.online.on_demand import vector
from features.state import EntityState
from features.vector import from_columns
from infra.local import jars, java
from streams.messages.headers import label_header
from streams.messages.record import Record
from streams.replay.encode import encode_labels, encode_transactions
from tests.made.archive import archive, records
from tests.made.records import KAFKA_TIME, LogRecord, advanced, ingest_state, received, routed, score_state
from tests.made.seal import SEAL

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


MOST = 20_000
WITH_2H = replace(FEATURE_SETS["fraud_v2"], name="with_2h", activity=(*ACTIVITY_WINDOWS, Window("2h", 2 * HOUR, MINUTE)))
SETS = (*FEATURE_SETS.values(), WITH_2H)


@pytest.fixture(scope="module")
def table(handbook: pa.Table) -> pa.Table:
    """Months of few users at few merchants, with devices; a label is known 0 to 20 days after its transaction."""
    of_few = pa.array([crc32(name.encode()) % 60 == 0 for name in handbook["user_id"].to_pylist()])
    rows = handbook.filter(of_few).slice(0, MOST)
    rng = np.random.default_rng(2)
    time = rows["event_time"].to_numpy()
    changed = {
        "merchant_id": pa.array([f"m{crc32(name.encode()) % 50}" for name in rows["merchant_id"].to_pylist()]),
        "device_id": pa.array([None if d == 4 else f"d{d}" for d in rng.integers(0, 12, len(rows)).tolist()]),
        "label_time": pa.array(time + rng.integers(0, 20 * DAY, len(rows)), mask=rng.random(len(rows)) < 0.5),
        "is_fraud": pa.array(rng.random(len(rows)) < 0.3),
    }
    for name, values in changed.items():
        rows = rows.set_column(rows.schema.get_field_index(name), name, values)
    return rows


@pytest.fixture(scope="module")
def spark() -> Iterator["SparkSession"]:
    session = spark_session.start("tests", java.for_spark().executable, jars.SPARK.paths(), Storage.of("."), "1g", 2)
    yield session
    session.stop()


def by_stream(table: pa.Table, log: HistoryLog, feature_set: FeatureSet) -> Float32:
    """JSON through both stages, over three merchant partitions, in uneven turns."""
    is_label = log.kind == RecordKind.LABEL
    values = np.empty(len(log.row), object)
    for of_kind, encode in ((~is_label, encode_transactions), (is_label, encode_labels)):
        values[of_kind] = encode(table.take(pa.array(log.row[of_kind])))
    keys = table["user_id"].take(pa.array(log.row)).cast(pa.binary()).to_pylist()
    sent: list[Record] = [
        LogRecord(offset, KAFKA_TIME, key, value, [label_header(SEAL, key, value)] if label else [])
        for offset, (key, value, label) in enumerate(zip(keys, values.tolist(), is_label.tolist(), strict=True))
    ]
    out = routed(ingest_state(merchant_partitions=3, feature_set=feature_set), sent, cuts=range(0, len(sent), 777))  # type: ignore[arg-type]
    found: dict[int, Float32] = {}
    for partition in range(3):
        observed = advanced(score_state(feature_set), received(out, partition, feature_set))
        found.update(zip(observed.rows["offset"].to_pylist(), observed.vectors, strict=True))
    return np.array([found[offset] for offset in np.flatnonzero(~is_label).tolist()])


def by_api(log: HistoryLog, devices: list[str | None], feature_set: FeatureSet) -> Float32:
    """Each transaction from the bytes of the two states that were in the online store before it."""
    states: dict[Entity, EntityState] = {"user": EntityState(feature_set, "user"), "merchant": EntityState(feature_set, "merchant")}
    slots = {entity: states[entity].slots(names)[codes] for entity, (codes, names) in (("user", log.user), ("merchant", log.merchant))}
    found, seen = [], {entity: set[int]() for entity in states}
    for i in range(len(log.kind)):
        here, fraud = slice(i, i + 1), log.fraud[i : i + 1]
        if log.kind[i] != RecordKind.LABEL:
            before = [states[entity].encode(slots[entity][here])[0] if int(slots[entity][i]) in seen[entity] else None for entity in states]
            found.append(vector(feature_set, *before, int(log.time[i]), int(log.amount[i]), devices[log.row[i]]))
        for entity, state in states.items():
            seen[entity].add(int(slots[entity][i]))
            device = log.device[here] if feature_set.devices else np.zeros(1, np.int64)
            _, lateness = state.apply(log.kind[here], slots[entity][here], log.time[here], log.amount[here], fraud, device)
            if lateness[0] == Lateness.TOO_LATE:
                fraud = np.zeros(1, np.int64)
    return np.array(found)


def by_spark_and_feast(table: pa.Table, ids: list[str], feature_set: FeatureSet, spark: "SparkSession", home: Path) -> Float32:
    """A backfill over the archive, read back as a training set."""
    store = Storage.of(home / "offline")
    archive(store, records(table))
    first, last = (datetime.fromtimestamp(pick(table["event_time"]).as_py() / 1000, UTC).date() for pick in (pc.min, pc.max))
    spark_backfill.backfill(plan_backfill(store, feature_set, first, last + timedelta(days=1), views=False), spark, home / "scratch")
    feast_repo_writer.write(home / "feast", "redis://127.0.0.1:1/0", store)
    fs = FeatureStore(repo_path=str(home / "feast"))
    fs.apply([*objects((feature_set,))])
    asked = pd.DataFrame({"transaction_id": ids, "event_timestamp": pd.Timestamp(last + timedelta(days=1), tz="UTC")})
    found = fs.get_historical_features(entity_df=asked, features=fs.get_feature_service(f"{feature_set.name}_backfill")).to_df()
    assert found["transaction_id"].to_list() == ids
    return from_columns(feature_set, found)


@pytest.mark.parametrize("feature_set", SETS, ids=lambda feature_set: feature_set.name)
def test_every_path_gives_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, table: pa.Table, spark: "SparkSession", tmp_path: Path, feature_set: FeatureSet
) -> None:
    monkeypatch.setitem(FEATURE_SETS, feature_set.name, feature_set)
    log = HistoryLog.from_table(table)
    ids = table["transaction_id"].take(pa.array(log.order)).to_pylist()
    expected = vectors(log, feature_set)
    # Something is to be equal.
    assert len(expected) > 10_000
    longest = max(feature_set.outcome, key=lambda window: window.length)
    assert np.count_nonzero(expected[:, feature_set.names.index(f"merchant_fraud_count_{longest.name}")]) > 1_000
    devices = table["device_id"].to_pylist()
    paths = {
        "stream": by_stream(table, log, feature_set),
        "api": by_api(log, devices, feature_set),
        "spark and feast": by_spark_and_feast(table, ids, feature_set, spark, tmp_path),
    }
    assert {path: found.tobytes() == expected.tobytes() for path, found in paths.items()} == dict.fromkeys(paths, True)


def test_the_set_that_is_only_defined_here_has_a_window_that_no_other_has() -> None:
    assert {name for name in WITH_2H.names if name.endswith("_2h")} == {
        f"{entity}_{measure}_2h" for entity in ("user", "merchant") for measure in ("tx_count", "mean_amount", "amount_ratio")
    }
    assert not any(name.endswith("_2h") for feature_set in FEATURE_SETS.values() for name in feature_set.names)
