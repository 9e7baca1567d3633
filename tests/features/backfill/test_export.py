"""All features of a range come as files by day; a range that isn't there, or not all, is told in a sentence."""

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pa_dataset
import pytest

from features.backfill.export import export_backfill, export_served
from features.backfill.plan import plan_backfill
from features.backfill.tables import ComputedTable
from features.definitions import DAY, FEATURE_SETS
from features.errors import UserError
from features.offline.parquet_tables import OfflineTable, write_file
from features.offline.storage import Storage
from tests.made.archive import archive
from tests.made.archived_records import of_records, record

V1, V2 = FEATURE_SETS["fraud_v1"], FEATURE_SETS["fraud_v2"]
START = 17_622 * DAY
FIRST, SECOND, AFTER = date(2018, 4, 1), date(2018, 4, 2), date(2018, 5, 1)


def archived(store: Storage, first: int, n: int) -> None:
    rows = range(first, first + n)
    archive(store, of_records(record(0, i, "transaction", transaction_id=f"t{i}", event_time=START + i * DAY) for i in rows))


def backfilled(store: Storage, days: int) -> None:
    """Days of the plan with a transaction each, as a backfill of them would leave them; values are the day's number."""
    plan = plan_backfill(store, V1, FIRST, AFTER, views=False)
    target, names = plan.targets[0], pa.array(["x"])
    files = []
    for i, day in enumerate(plan.days[:days]):
        vector = np.full((1, len(V1.names)), i, np.float32)
        rows = target.table.rows(ComputedTable(names, names, names, np.array([START + i * DAY]), vector, np.zeros((1, 4), np.int64)))
        files.append(write_file(target.offline.storage, day, f"{target.edition}-000", rows))
    number = target.offline.committed("backfill")
    target.offline.commit(files, "backfill", 0 if number is None else number + 1, replaced=plan.days[:days])


def read(folder: Path) -> pa.Table:
    return pa_dataset.dataset(folder, format="parquet", partitioning="hive").to_table().sort_by("event_timestamp")


def test_a_backfill_is_exported_by_days_with_the_states_of_the_archive_that_it_rests_on(tmp_path: Path) -> None:
    store, out = Storage.of(tmp_path / "store"), tmp_path / "out"
    archived(store, 0, 2)
    backfilled(store, 2)
    done = export_backfill(store, V1, FIRST, AFTER, Storage.of(out))
    assert (done.rows, done.days, len(done.archive_versions)) == (2, 2, 1)
    assert read(out)["user_tx_count_30d"].to_pylist() == [0.0, 1.0]
    assert read(out)["event_timestamp"].cast(pa.int64()).to_pylist() == [START * 1_000, (START + DAY) * 1_000]
    archived(store, 2, 1)
    with pytest.raises(UserError, match=r"^2018-04-03 of fraud_v1 is computed") as refused:
        export_backfill(store, V1, FIRST, AFTER, Storage.of(tmp_path / "other"))
    assert "--from 2018-04-01 --to 2018-05-01" in str(refused.value)
    assert not (tmp_path / "other").exists()
    backfilled(store, 1)
    assert len(export_backfill(store, V1, FIRST, date(2018, 4, 3), Storage.of(tmp_path / "mixed")).archive_versions) == 2


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    store = Storage.of(tmp_path / "store")
    archived(store, 0, 1)
    backfilled(store, 1)
    export_backfill(store, V1, FIRST, AFTER, Storage.of(tmp_path / "out"))
    with pytest.raises(UserError, match="name another folder"):
        export_backfill(store, V1, FIRST, AFTER, Storage.of(tmp_path / "out"))


def test_what_was_served_is_exported_of_the_feature_set_that_is_asked_for(tmp_path: Path) -> None:
    store = Storage.of(tmp_path / "store")
    keys = [(name, pa.string()) for name in ("transaction_id", "user_id", "merchant_id", "features_digest")]
    schema = pa.schema([*keys, ("event_time", pa.int64()), *((name, pa.float32()) for name in V2.names)])
    log = OfflineTable(store, "scoring-log", schema)
    files = []
    for i, feature_set in enumerate((V1, V2)):
        row = {
            "transaction_id": f"t{i}",
            "user_id": "u",
            "merchant_id": "m",
            "features_digest": feature_set.digest,
            "event_time": START + i,
        }
        files.append(write_file(log.storage, FIRST, f"a-{i}", pa.Table.from_pylist([row | dict.fromkeys(feature_set.names, 0.5)], schema)))
    log.commit(files, "archive", 0)
    done = export_served(store, V1, FIRST, AFTER, Storage.of(tmp_path / "out"))
    assert (done.rows, done.days, done.archive_versions) == (1, 1, ())
    found = read(tmp_path / "out")
    assert found["transaction_id"].to_pylist() == ["t0"]
    assert [name for name in V1.names if found.schema.field(name).type != pa.float32() or found[name].to_pylist() != [0.5]] == []
    with pytest.raises(UserError, match="no decision with fraud_v1 from 2018-04-02"):
        export_served(store, V1, SECOND, AFTER, Storage.of(tmp_path / "none"))
