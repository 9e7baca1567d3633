"""A backfill gives the vectors of a finished history, bit for bit, and the user views' values, by days that count whole or not at all."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from features.backfill import spark_backfill
from features.backfill.plan import BackfillPlan, plan_backfill
from features.backfill.tables import view_table
from features.definitions import ACTIVITY_WINDOWS, DAY, FEATURE_SETS, HOUR, MINUTE, FeatureSet, Window
from features.errors import UserError
from features.history.log import HistoryLog, vectors
from features.offline.parquet_tables import OfflineTable
from features.offline.storage import Storage
from features.online.views import TRANSACTION_STATS, USER_TRANSACTION_STATS, OnlineView
from features.state import EntityState
from tests.made.archive import archive, records
from tests.made.archived_records import of_records, record
from tests.made.town import payments, sent_later
from tests.parity.both import by_oracle
from tests.parity.logs import Chargeback, Payment, Record
from tests.run.local_spark import local_spark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

V1, V2 = FEATURE_SETS["fraud_v1"], FEATURE_SETS["fraud_v2"]
WITH_2H = replace(V2, name="with_2h", activity=(*ACTIVITY_WINDOWS, Window("2h", 2 * HOUR, MINUTE)))
FIRST, AFTER = date(2018, 4, 1), date(2019, 1, 1)
START = 17_622 * DAY
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def spark() -> Iterator["SparkSession"]:
    with local_spark(500) as session:
        yield session


@pytest.fixture(scope="module")
def town() -> pa.Table:
    """Half a year of few keys and many ties; a tenth of all transactions at one merchant; keys that rest for longer than any window;
    labels that are early, late or too late."""
    rng = np.random.default_rng(5)
    n = 6_000
    time = np.sort(START + rng.integers(0, 60 * DAY, n)) // MINUTE * MINUTE
    user, merchant = rng.integers(0, 40, n), np.where(rng.random(n) < 0.1, 0, rng.integers(1, 60, n))
    resting = (user < 8) | ((merchant > 0) & (merchant < 8))
    time = np.where(resting & (rng.random(n) < 0.5), time + 110 * DAY, time)
    return payments(rng, time, [f"u{i}" for i in user], [f"m{i}" for i in merchant], unlabelled=0.8)


@pytest.fixture(scope="module")
def store(town: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Storage:
    """The town's archive, with a tenth of its transactions sent again and some changed under an id that was taken before."""
    place = Storage.of(tmp_path_factory.mktemp("store"))
    log = records(town)
    sent = log.filter(pc.equal(log["kind"], "transaction"))
    again = sent.slice(0, len(sent) // 10)
    changed = sent.slice(len(sent) // 2, 100)
    earlier = pa.array(changed["event_time"].to_numpy() - 3 * DAY)
    changed = changed.set_column(changed.schema.get_field_index("event_time"), "event_time", earlier)
    archive(place, pa.concat_tables([log, sent_later(pa.concat_tables([again, changed]))], promote_options="permissive"))
    return place


def run(store: Storage, feature_set: FeatureSet, spark: "SparkSession", views: bool = True, begin: date = FIRST) -> BackfillPlan:
    plan = plan_backfill(store, feature_set, begin, AFTER, views)
    with tempfile.TemporaryDirectory() as here:
        spark_backfill.backfill(plan, spark, Path(here))
    return plan


def computed(plan: BackfillPlan, ids: list[str]) -> np.ndarray:
    """The vectors of these transactions, which must be all that the table has."""
    rows = plan.targets[0].offline.dataset().to_table()
    place = {name: i for i, name in enumerate(rows["transaction_id"].to_pylist())}
    assert len(place) == len(rows) == len(ids)
    found = np.column_stack([rows[name].to_numpy() for name in plan.feature_set.names])
    return np.ascontiguousarray(found[[place[name] for name in ids]])


@pytest.mark.parametrize("feature_set", [V2, WITH_2H], ids=lambda feature_set: feature_set.name)
def test_vectors_are_those_of_the_finished_history(town: pa.Table, store: Storage, spark: "SparkSession", feature_set: FeatureSet) -> None:
    log = HistoryLog.from_table(town)
    ids = town["transaction_id"].take(pa.array(log.order)).to_pylist()
    expected = vectors(log, feature_set)
    assert np.count_nonzero(expected[:, feature_set.names.index("merchant_fraud_count_30d")]) > 100
    assert computed(run(store, feature_set, spark), ids).tobytes() == expected.tobytes()


def test_user_views_have_the_values_that_are_online_after_each_event(town: pa.Table, store: Storage, spark: "SparkSession") -> None:
    run(store, V1, spark)
    state, expected = EntityState(V1, "user"), {}
    for user, at, amount in sorted(
        zip(town["user_id"].to_pylist(), town["event_time"].to_pylist(), town["amount"].to_pylist(), strict=True), key=lambda row: row[1]
    ):
        one, slot = np.ones(1, np.int64), state.slots([user])
        state.apply(0 * one.astype(np.int8), slot, at * one, amount * one, 0 * one, 0 * one)
        ((count,), (total,)), ((of_all,), (sum_of_all,)) = state.window_sums(V1.activity[-1], slot), state.totals(slot)
        expected[(user, int(of_all))] = (at, total / count, count, sum_of_all / of_all)

    def rows(view: OnlineView) -> dict[tuple[str, int], tuple[Any, ...]]:
        found = OfflineTable(store, view.name, view_table(view, V1).schema).dataset().to_table()
        times, numbers = (found[name].cast(pa.int64()).to_pylist() for name in ("event_timestamp", "created"))
        means, counts = (found[feature.name].to_pylist() for feature in view.features)
        users = found["user_id"].to_pylist()
        return {
            (user, n): (at // 1_000, mean, count) for user, n, at, mean, count in zip(users, numbers, times, means, counts, strict=True)
        }

    assert rows(TRANSACTION_STATS) == {key: (at, mean, count) for key, (at, mean, count, _) in expected.items()}
    assert rows(USER_TRANSACTION_STATS) == {key: (at, mean, key[1]) for key, (at, _, _, mean) in expected.items()}


def test_of_many_labels_the_newest_counts_and_what_was_refused_does_not(spark: "SparkSession", tmp_path: Path) -> None:
    log: list[Record] = [Payment(f"t{i}", START + i * HOUR, f"u{i % 3}", f"m{i % 5}", 100 + i) for i in range(600)]
    rng = np.random.default_rng(0)
    for i in rng.choice(600, 150, replace=False).tolist():
        of = log[i]
        assert isinstance(of, Payment)
        for is_fraud, later in ((True, 1), (bool(i % 2), 3), (True, 2)):
            # Of some a later label names another time and merchant.
            about = replace(of, event_time=of.event_time + 9, merchant_id=f"m{i % 4}") if later == 3 and i % 3 else of
            log.append(Chargeback.of(about, of.event_time + later * DAY, is_fraud))
    rows = []
    for offset, one in enumerate(log):
        rows.append(record(0, offset, "label" if isinstance(one, Chargeback) else "transaction", **vars(one)))
    rows.append(record(0, len(log), "refused", event_time=START, user_id="u0", merchant_id="m0", amount=1, transaction_id="t"))
    store = Storage.of(tmp_path)
    archive(store, of_records(rows))
    plan = run(store, V1, spark, views=False)
    in_order = sorted(log, key=lambda one: (one.label_time, 0) if isinstance(one, Chargeback) else (one.event_time, 1))
    ids = [one.transaction_id for one in in_order if isinstance(one, Payment)]
    assert computed(plan, ids).tobytes() == by_oracle(V1, in_order).tobytes()
    assert not OfflineTable(store, TRANSACTION_STATS.name, pa.schema([])).exists()


def test_only_missing_days_are_computed_and_those_of_another_archive_are_replaced(spark: "SparkSession", tmp_path: Path) -> None:
    store = Storage.of(tmp_path)

    def payments(first: int, n: int) -> list[Any]:
        return [
            record(0, i, "transaction", transaction_id=f"t{i}", user_id="u", merchant_id="m", event_time=START + i * 6 * HOUR, amount=5)
            for i in range(first, first + n)
        ]

    archive(store, of_records(payments(0, 16)))
    begin = FIRST + timedelta(days=2)
    plan = run(store, V1, spark, begin=begin)
    assert plan.missing == [begin, begin + timedelta(days=1)]
    table = plan.targets[0].offline
    before = table.uris()
    wider = run(store, V1, spark)
    assert wider.missing == [FIRST, FIRST + timedelta(days=1)]
    assert set(before) < set(table.uris())
    # What follows from the same window is the same, whatever else a feature set has.
    assert {target.table.name: bool(target.missing) for target in plan_backfill(store, V2, FIRST, AFTER).targets} == {
        "fraud_v2_backfill": True,
        "transaction_stats": False,
        "user_transaction_stats": False,
    }
    archive(store, of_records(payments(16, 4)))
    assert len(run(store, V1, spark).missing) == 5
    assert not set(before) & set(table.uris())
    counts = table.dataset().to_table().sort_by("event_timestamp")["user_tx_count_30d"].to_pylist()
    assert counts == list(range(20))


def test_an_archive_that_is_compacted_meanwhile_is_reported(spark: "SparkSession", tmp_path: Path) -> None:
    store = Storage.of(tmp_path)
    archive(store, of_records([record(0, 0, "transaction", transaction_id="t", user_id="u", merchant_id="m", event_time=START, amount=5)]))
    plan = plan_backfill(store, V1, FIRST, AFTER)
    for file in plan.archive.uris:
        Path(file).unlink()
    with pytest.raises(UserError, match="run the command again"):
        spark_backfill.backfill(plan, spark, tmp_path / "scratch")


def test_a_range_that_is_not_archived_is_refused(store: Storage, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run `tidemark archive` first"):
        plan_backfill(Storage.of(tmp_path), V1, FIRST, AFTER)
    with pytest.raises(UserError, match="it has 2018-0"):
        plan_backfill(store, V1, date(2020, 1, 1), date(2020, 2, 1))


# A backfill that is killed when half of its days are committed to its first table.
_KILLED = """
import os, signal, sys
from datetime import date
from pathlib import Path
from features.backfill import spark_backfill
from features.offline import spark_session
from features.backfill.plan import plan_backfill
from features.definitions import FEATURE_SETS
from features.offline.storage import Storage
from infra.local import jars, java

commit = spark_backfill._commit

def die(target, days, reports):
    # How many days are done when it first commits is a matter of speed.
    commit(target, days[: max(1, len(days) // 2)], reports)
    os.kill(os.getpid(), signal.SIGKILL)

spark_backfill._commit = die
store = Storage.of(sys.argv[1])
spark = spark_session.start("killed", java.for_spark().executable, jars.SPARK.paths(), store, "1g", 2)
plan = plan_backfill(store, FEATURE_SETS["fraud_v1"], date(2018, 4, 1), date(2019, 1, 1))
spark_backfill.backfill(plan, spark, Path(sys.argv[1], "scratch"))
"""


def test_killed_in_the_middle_it_leaves_whole_days_and_goes_on_with_the_others(
    town: pa.Table, spark: "SparkSession", tmp_path: Path
) -> None:
    store = Storage.of(tmp_path)
    archive(store, records(town))
    # What Spark has in its temporary folder stays there.
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path)], cwd=ROOT, env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert list((tmp_path / "scratch").iterdir()) != []
    plan = plan_backfill(store, V1, FIRST, AFTER)
    target, table = plan.targets[0], plan.targets[0].offline
    kept, counted = set(plan.days) - target.missing, table.uris()
    assert 0 < len(kept) < len(plan.days)
    assert set(table.dataset().to_table()["date"].to_pylist()) == kept
    assert {len(other.missing) for other in plan.targets[1:]} == {len(plan.days)}
    spark_backfill.backfill(plan, spark, tmp_path / "scratch")
    assert list((tmp_path / "scratch").iterdir()) == []
    assert plan_backfill(store, V1, FIRST, AFTER).missing == []
    assert set(counted) < set(table.uris())
    log = HistoryLog.from_table(town)
    ids = town["transaction_id"].take(pa.array(log.order)).to_pylist()
    assert computed(plan, ids).tobytes() == vectors(log, V1).tobytes()
