"""What Feast says of the past: each key's last row at or before a time, from committed files, with the bits that were stored."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from feast import FeatureStore

from features.definitions import FEATURE_SETS
from features.errors import UserError
from features.offline.parquet_tables import write_file
from features.offline.storage import Storage
from features.online import feast_repo_writer
from features.vector import from_columns
from tests.made.offline_tables import START, asked, at, put, stats, users, vectors

V1 = FEATURE_SETS["fraud_v1"]
STATS = ["transaction_stats:avg_transaction_amount", "transaction_stats:transaction_count"]
# A NaN of its own bits, the smallest number there is, and what decimal notation might round.
ODD = np.array([0x7FC00001, 0x00000001, 0x80000000, 0x3DCCCCCD], np.uint32).view(np.float32)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("past")


@pytest.fixture(scope="module")
def served() -> np.ndarray:
    rng = np.random.default_rng(3)
    values = rng.lognormal(3, 4, (500, len(V1.names))).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    values[0, : len(ODD)] = ODD
    return values


@pytest.fixture(scope="module")
def store(home: Path, served: np.ndarray) -> FeatureStore:
    offline = Storage.of(home / "offline")
    put(
        offline,
        "transaction_stats",
        stats(
            [
                ("u1", at(0), 100.0, 1),
                ("u2", at(1), 5.0, 1),
                ("u1", at(10), 200.0, 2),
                ("u1", at(10), 300.0, 3),
                ("u1", at(5), 400.0, 4),
                ("u1", at(2 * 24 * 60), 0.5, 5),
            ]
        ),
    )
    put(offline, "users", users([("u1", at(0), "new"), ("u1", at(10), "silver"), ("u1", at(10), "gold"), ("u1", at(30), None)]))
    times = [at(minute) for minute in range(len(served))]
    put(offline, "scoring-log", vectors(V1, [f"t{i}" for i in range(len(served))], times, served))
    feast_repo_writer.write(home / "feast", "redis://127.0.0.1:1/0", offline)
    return FeatureStore(repo_path=str(home / "feast"))


def mean_and_count(found: pd.DataFrame) -> list[tuple[float | None, int | None]]:
    pairs = zip(found["avg_transaction_amount"], found["transaction_count"], strict=True)
    return [(None, None) if pd.isna(mean) else (mean, int(count)) for mean, count in pairs]


def test_a_user_is_told_as_of_the_last_event_at_or_before_the_time(store: FeatureStore) -> None:
    # events of u1      0        5        10, 10               2 d
    # asked      -1     0    4        9   10         11        2 d
    moments = [at(-1), at(0), at(4), at(9), at(10), at(11), at(2 * 24 * 60)]
    entity_df = asked("user_id", ["u1"] * len(moments), moments)
    found = store.get_historical_features(entity_df=entity_df, features=STATS).to_df()
    assert mean_and_count(found) == [(None, None), (100.0, 1), (100.0, 1), (400.0, 4), (300.0, 3), (300.0, 3), (0.5, 5)]


def test_a_profile_is_the_version_that_held_at_the_time(store: FeatureStore) -> None:
    moments = [at(-1), at(0), at(9), at(10), at(29), at(30)]
    features = ["user_profile:created_at", "user_profile:country", "user_profile:segment"]
    found = store.get_historical_features(entity_df=asked("user_id", ["u1"] * 6, moments), features=features).to_arrow()
    assert found["segment"].to_pylist() == [None, "new", "new", "gold", "gold", None]
    assert found["country"].to_pylist() == [None, "NL", "NL", "NL", "NL", None]
    assert found["created_at"].to_pylist() == [None, *[int(START.timestamp()) * 1000] * 4, None]


def test_rows_come_back_as_they_were_asked_for_each_once(store: FeatureStore) -> None:
    entity_df = asked("user_id", ["u2", "u1", "nobody", "u2", "u2"], [at(9), at(3), at(3), at(0), at(9)])
    entity_df["note"] = list("abcde")
    found = store.get_historical_features(entity_df=entity_df, features=STATS, full_feature_names=True).to_df()
    assert found["note"].tolist() == list("abcde")
    assert found["user_id"].tolist() == entity_df["user_id"].tolist()
    assert found["transaction_stats__transaction_count"].fillna(-1).tolist() == [1, 1, -1, -1, 1]


def test_counts_stay_integers_and_what_is_unknown_is_null(store: FeatureStore) -> None:
    entity_df = asked("user_id", ["u1", "nobody"], [at(3), at(3)])
    found = store.get_historical_features(entity_df=entity_df, features=STATS).to_arrow()
    assert found["transaction_count"].type == pa.int64()
    assert found["transaction_count"].to_pylist() == [1, None]


def test_times_without_zone_are_utc_and_others_are_converted(store: FeatureStore) -> None:
    naive = pd.DataFrame({"user_id": ["u1"], "event_timestamp": [pd.Timestamp(START).tz_localize(None)]})
    elsewhere = pd.DataFrame({"user_id": ["u1"], "event_timestamp": [pd.Timestamp(START).tz_convert("Asia/Tokyo")]})
    for entity_df in (naive, elsewhere):
        assert mean_and_count(store.get_historical_features(entity_df=entity_df, features=STATS).to_df()) == [(100.0, 1)]


def test_the_model_s_service_returns_the_very_bits_that_were_served(store: FeatureStore, served: np.ndarray) -> None:
    order = np.random.default_rng(0).permutation(len(served))
    entity_df = asked("transaction_id", [f"t{i}" for i in order], [at(int(i)) for i in order])
    found = store.get_historical_features(entity_df=entity_df, features=store.get_feature_service("fraud_v1_log")).to_df()
    assert from_columns(V1, found).tobytes() == served[order].tobytes()


def test_files_that_are_not_committed_do_not_count(store: FeatureStore, home: Path) -> None:
    rows = stats([("u2", at(2), 999.0, 99)])
    written = write_file(Storage.of(home / "offline").at("transaction_stats"), START.date(), "uncommitted", rows)
    found = store.get_historical_features(entity_df=asked("user_id", ["u2"], [at(9)]), features=STATS).to_df()
    (home / "offline" / "transaction_stats" / written.path).unlink()
    assert mean_and_count(found) == [(5.0, 1)]


@pytest.fixture(scope="module")
def by_spark(store: FeatureStore, home: Path) -> Iterator[FeatureStore]:
    yield FeatureStore(repo_path=str(home / "feast"), fs_yaml_file=home / "feast" / feast_repo_writer.SPARK_SETTINGS)
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    assert session is not None
    session.stop()


def test_spark_says_the_same(store: FeatureStore, by_spark: FeatureStore, served: np.ndarray) -> None:
    moments = [at(-1), at(0), at(4), at(9), at(10), at(11), at(2 * 24 * 60), at(9), at(3)]
    users = asked("user_id", ["u1"] * 7 + ["u2", "nobody"], moments)
    past = asked("transaction_id", [f"t{i}" for i in range(0, 500, 7)], [at(i) for i in range(0, 500, 7)])

    def sorted_by(found: pd.DataFrame, key: str) -> pd.DataFrame:
        return found.sort_values([key, "event_timestamp"]).reset_index(drop=True)

    of_users, of_past = (
        [
            sorted_by(each.get_historical_features(entity_df=entity_df, features=features).to_df(), key)
            for each, features in ((store, names(store)), (by_spark, names(by_spark)))
        ]
        for entity_df, key, names in (
            (users, "user_id", lambda _: STATS),
            (past, "transaction_id", lambda each: each.get_feature_service("fraud_v1_log")),
        )
    )
    pd.testing.assert_frame_equal(*[found[["user_id", *[name.split(":")[1] for name in STATS]]] for found in of_users])
    ours, spark_s = (from_columns(V1, found) for found in of_past)
    missing = np.isnan(ours)
    assert np.array_equal(missing, np.isnan(spark_s))
    assert ours[~missing].tobytes() == spark_s[~missing].tobytes()


def test_what_has_no_past_is_named_with_what_to_ask_instead(store: FeatureStore) -> None:
    entity_df = asked("user_id", ["u1"], [at(0)]).assign(merchant_id="m1", event_time=0, amount=1)
    with pytest.raises(UserError, match=r"(user|merchant)_state has no offline rows.*fraud_v1_log"):
        store.get_historical_features(entity_df=entity_df, features=store.get_feature_service("fraud_v1"))
    with pytest.raises(UserError, match="no table user_transaction_stats"):
        store.get_historical_features(entity_df=entity_df, features=["user_transaction_stats:count"])
    with pytest.raises(UserError, match="lacks the column user_id"):
        store.get_historical_features(entity_df=entity_df.drop(columns="user_id"), features=STATS)
    with pytest.raises(UserError, match="pandas DataFrame"):
        store.get_historical_features(entity_df="SELECT 1", features=STATS)


def test_nothing_is_materialized_over_what_the_stream_wrote(store: FeatureStore) -> None:
    with pytest.raises(UserError, match="the stream writes the online store"):
        store.materialize(at(0), at(1), feature_views=["transaction_stats"])
