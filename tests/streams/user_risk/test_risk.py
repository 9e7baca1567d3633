"""A user's risk is what the model would say if one of the latest payments came next; whichever way it is computed, to the bit."""

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import xgboost as xgb

from features.backfill.archived_log import ARCHIVED_SCHEMA, of_archive, of_table
from features.definitions import DAY, FEATURE_SETS, HOUR, MINUTE, FeatureSet
from features.history.log import HistoryLog, chunks
from features.offline.storage import Storage
from models.scoring import Scorer
from streams.messages.events import UserRisk
from streams.user_risk.parquet_table import UserRiskTable, archive_of, newest_archived
from streams.user_risk.risk import LOOKBACK, USER_RISK, user_risk
from streams.user_risk.spark_user_risk import write_user_risk
from tests.made.archive import archive, records
from tests.made.models import POLICY
from tests.made.town import payments, sent_later
from tests.run.local_spark import local_spark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

V1, V2 = FEATURE_SETS["fraud_v1"], FEATURE_SETS["fraud_v2"]
START = 17_622 * DAY
MOMENT = START + 60 * DAY


@pytest.fixture(scope="module")
def town() -> pa.Table:
    """Ninety days of few users, some of them resting for a month and more; labels early, late or too late; payments after the moment."""
    rng = np.random.default_rng(7)
    n = 1_500
    time = np.sort(START + rng.integers(0, 90 * DAY, n)) // MINUTE * MINUTE
    user, merchant = rng.integers(0, 16, n), rng.integers(0, 12, n)
    time = np.where(user < 4, np.minimum(time, START + 20 * DAY + user * 5 * DAY), time)
    return payments(rng, time, [f"ü{i}" for i in user], [f"m{i}" for i in merchant], unlabelled=0.5)


def scorer(feature_set: FeatureSet) -> Scorer:
    """Trees that look at many features of what this town has."""
    rng = np.random.default_rng(1)
    rows = rng.lognormal(2, 3, size=(3_000, len(feature_set.names))).astype(np.float32)
    rows[rng.random(rows.shape) < 0.2] = np.nan
    fraud = np.nan_to_num(rows @ np.nan_to_num(rng.normal(size=rows.shape[1])).astype(np.float32)) + rng.normal(size=len(rows)) > 0
    data = xgb.DMatrix(rows, fraud, feature_names=list(feature_set.names))
    booster = xgb.train({"objective": "binary:logistic", "max_depth": 6, "colsample_bytree": 0.3, "nthread": 1, "seed": 1}, data, 60)
    return Scorer(booster, POLICY, feature_set.names, "tidemark", "1", "0" * 64, feature_set.digest)


def known(town: pa.Table, moment: int) -> pa.Table:
    """The table as it was at the moment: labels that came later are not there."""
    table = town.filter(pc.less(town["event_time"], moment))
    later = pc.fill_null(pc.greater_equal(table["label_time"], moment), False)
    at = table.schema.get_field_index("label_time")
    return table.set_column(at, "label_time", pc.if_else(later, None, table["label_time"]))


def if_it_came_next(table: pa.Table, payment: dict[str, Any], moment: int, of: Scorer, feature_set: FeatureSet) -> float:
    """What the model says of this payment were it the history's next, by the kernel that training uses."""
    again = {**payment, "event_time": moment + (payment["event_time"] - moment) % DAY, "label_time": None}
    history = pa.concat_tables([table, pa.Table.from_pylist([again], schema=table.schema)])
    for rows, vectors in chunks(HistoryLog.from_table(history), feature_set):
        place = np.flatnonzero(rows == len(table))
        if len(place):
            return float(of.score(vectors[place]).probability[0])
    raise AssertionError("the payment was not scored")


def test_it_is_the_highest_probability_of_a_recent_payment_made_again(town: pa.Table) -> None:
    of, before = scorer(V1), known(town, MOMENT)
    found = {row["user_id"]: row for row in user_risk(of_table(town, MOMENT), V1, of, MOMENT).to_pylist()}
    assert set(found) == set(before["user_id"].to_pylist())
    resting = 0
    for user, risk in found.items():
        payments = before.filter(pc.equal(before["user_id"], user)).sort_by("event_time").to_pylist()
        recent = [one for one in payments if one["event_time"] >= MOMENT - LOOKBACK]
        resting += not recent
        expected = [(if_it_came_next(before, one, MOMENT, of, V1), one) for one in recent or payments[-1:]]
        if recent:
            worst = max(expected, key=lambda pair: (pair[0], pair[1]["event_time"], pair[1]["transaction_id"]))[1]
            assert (risk["transaction_id"], risk["event_time"]) == (worst["transaction_id"], worst["event_time"])
        assert risk["probability"] == max(probability for probability, _ in expected), user
        assert risk["payments"] == len(expected)
    assert 0 < resting < len(found)


def test_what_came_after_the_moment_changes_nothing(town: pa.Table) -> None:
    of = scorer(V1)
    for moment in (MOMENT, MOMENT + 5 * HOUR + 17):
        altered = known(town, moment)
        assert len(altered) < len(town)
        assert user_risk(of_table(town, moment), V1, of, moment).equals(user_risk(of_table(altered, moment), V1, of, moment))
    assert not user_risk(of_table(town, MOMENT), V1, of, MOMENT).equals(user_risk(of_table(town, MOMENT + 1), V1, of, MOMENT + 1))


@pytest.fixture(scope="module")
def store(town: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Storage:
    """The town's archive, with a tenth of its transactions sent again."""
    place = Storage.of(tmp_path_factory.mktemp("store"))
    log = records(town)
    sent = log.filter(pc.equal(log["kind"], "transaction"))
    archive(place, pa.concat_tables([log, sent_later(sent.slice(0, len(sent) // 10))]))
    return place


def test_an_archive_gives_what_its_file_gives(town: pa.Table, store: Storage) -> None:
    rows = archive_of(store).read(ARCHIVED_SCHEMA.names)
    for feature_set in (V1, V2):
        of = scorer(feature_set)
        from_file = user_risk(of_table(town, MOMENT), feature_set, of, MOMENT)
        assert user_risk(of_archive(rows, MOMENT), feature_set, of, MOMENT).equals(from_file)
        assert from_file.schema == USER_RISK


def test_the_newest_transaction_before_the_moment_is_found(town: pa.Table, store: Storage) -> None:
    times = town["event_time"].to_numpy()
    for moment in (MOMENT, int(times.max()), int(times.max()) + 1):
        assert newest_archived(archive_of(store), moment) == times[times < moment].max()
    assert newest_archived(archive_of(store), START - 1) is None


@pytest.fixture(scope="module")
def spark() -> Iterator["SparkSession"]:
    with local_spark(100) as session:
        yield session


@pytest.mark.parametrize("feature_set", [V1, V2], ids=lambda feature_set: feature_set.name)
def test_spark_gives_the_same_bits(town: pa.Table, store: Storage, spark: "SparkSession", feature_set: FeatureSet) -> None:
    of, table, day = scorer(feature_set), UserRiskTable(store), date(2018, 5, 31)
    files = write_user_risk(spark, archive_of(store).uris(end=day), feature_set, of, MOMENT, table, day)
    assert len(files) == 2
    table.commit(day, files)
    assert table.read(day).equals(user_risk(of_table(town, MOMENT), feature_set, of, MOMENT))


def risks(town: pa.Table, moment: int) -> pa.Table:
    return user_risk(of_table(town, moment), V1, scorer(V1), moment)


def test_a_run_given_again_replaces_its_own_day_only(town: pa.Table, tmp_path: Any) -> None:
    store = Storage.of(tmp_path)
    first, second = date(2018, 5, 31), date(2018, 6, 1)

    def run(day: date, rows: pa.Table) -> None:
        table = UserRiskTable(store)
        table.commit(day, [table.write(day, rows.slice(0, 5), 0), table.write(day, rows.slice(5), 1)])

    run(first, risks(town, MOMENT))
    run(second, risks(town, MOMENT + DAY))
    other = {path: path.read_bytes() for path in tmp_path.glob("user-risk/date=2018-06-01/*")}
    run(first, risks(town, MOMENT).slice(3))
    assert UserRiskTable(store).read(first).equals(risks(town, MOMENT).slice(3))
    assert {path: path.read_bytes() for path in tmp_path.glob("user-risk/date=2018-06-01/*")} == other
    assert len(list(tmp_path.glob("user-risk/date=2018-05-31/*"))) == 2, "what was replaced is gone"
    # What is written and not committed, as by a run that was killed, doesn't count, and the next run takes it away.
    UserRiskTable(store).write(first, risks(town, MOMENT))
    assert UserRiskTable(store).read(first).equals(risks(town, MOMENT).slice(3))
    run(first, risks(town, MOMENT))
    assert len(list(tmp_path.glob("user-risk/date=2018-05-31/*"))) == 2
    assert UserRiskTable(store).newest_day() == second


def test_a_message_has_the_tables_fields() -> None:
    assert list(UserRisk.__struct_fields__) == USER_RISK.names
