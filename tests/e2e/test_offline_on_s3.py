"""The offline store on a real S3 server: archived, computed again and asked for, with each writer killed on its way."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from unittest import mock
from zlib import crc32

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pa_dataset
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore

from features.definitions import FEATURE_SETS
from features.history.columns import CANONICAL
from features.history.log import HistoryLog
from features.history.log import vectors as of_history
from features.offline.storage import Storage
from features.online import feast_repo_writer
from features.vector import from_columns
from tests.made.archive_contents import assert_each_record_is_there_once
from tests.run.deployment import ROOT, Deployment, champion, deployed, end_group
from tests.run.s3_server import BUCKET, s3_server

V1 = FEATURE_SETS["fraud_v1"]
DAYS, DAY_MS = 12, 86_400_000


@pytest.fixture(scope="module")
def history(handbook: pa.Table) -> pa.Table:
    """Twelve days of one user in ten, at few merchants, so that frauds known after seven days are seen again."""
    start = pc.min(handbook["event_time"]).as_py() // DAY_MS * DAY_MS
    rows = handbook.filter(pc.less(handbook["event_time"], start + DAYS * DAY_MS))
    rows = rows.filter(pa.array([crc32(name.encode()) % 10 == 0 for name in rows["user_id"].to_pylist()]))
    merchants = pa.array([f"m{crc32(name.encode()) % 20}" for name in rows["merchant_id"].to_pylist()])
    return rows.set_column(rows.schema.get_field_index("merchant_id"), "merchant_id", merchants)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    url = f"s3://{BUCKET}/offline"
    with s3_server(tmp_path_factory.mktemp("s3")) as environment, mock.patch.dict(os.environ, {**environment, "TIDEMARK_OFFLINE": url}):
        yield Storage.of(url)


@pytest.fixture(scope="module")
def deployment(store: Storage, history: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """All of the history is decided. One partition, so that the order of the log is that of the file."""
    folder = tmp_path_factory.mktemp("on-s3")
    pq.write_table(history.select([name for name in CANONICAL.names if name != "label_time"]), folder / "history.parquet")
    with deployed(folder / "home", partitions=1) as it:
        feast_repo_writer.write(it.config.feast_path, it.config.redis, store)
        champion(it.config)
        output_of(it, "replay", str(folder / "history.parquet"), "--columns", "tidemark", "--labels-after", "7d")
        it.work_until_idle()
        yield it


def output_of(deployment: Deployment, *arguments: str) -> str:
    done = deployment.tidemark(*arguments, timeout=300)
    assert done.returncode == 0, done.stderr[-3_000:]
    return done.stdout


def killed(deployment: Deployment, moment: str, *arguments: str) -> None:
    """Runs a command that dies before or after its first commit of files."""
    with (deployment.home / f"killed-{moment}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.run.killed", moment, *arguments],
            env=deployment.environment,
            cwd=ROOT,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert process.wait(240) == -signal.SIGKILL
    end_group(process.pid)


@pytest.mark.slow
def test_archive_backfill_and_history_on_s3(deployment: Deployment, store: Storage, history: pa.Table, tmp_path: Path) -> None:
    for moment in ("before", "after"):
        killed(deployment, moment, "archive", "--once")
    output_of(deployment, "archive", "--once")
    assert_each_record_is_there_once(deployment, store)

    first = datetime.fromtimestamp(pc.min(history["event_time"]).as_py() / 1000, UTC).date()
    after = first + timedelta(days=DAYS)
    days = ("--from", str(first), "--to", str(after))
    killed(deployment, "after", "backfill", "--features", V1.name, *days)
    assert f"{DAYS} of {DAYS} days computed" in output_of(deployment, "backfill", "--features", V1.name, *days)
    assert f"0 of {DAYS} days computed" in output_of(deployment, "backfill", "--features", V1.name, *days)

    log = HistoryLog.from_table(history)
    ids = history["transaction_id"].take(pa.array(log.order)).to_pylist()
    expected = of_history(log, V1)
    # Something is to be equal, frauds among it.
    assert len(ids) > 3_000
    assert np.count_nonzero(expected[:, V1.names.index("merchant_fraud_count_30d")]) > 50
    fs = FeatureStore(repo_path=deployment.config.feast_repo)
    assert asked(fs, "fraud_v1_log", ids, after).tobytes() == expected.tobytes()
    assert asked(fs, "fraud_v1_backfill", ids, after).tobytes() == expected.tobytes()
    assert_last_values_are_those_online(fs, sorted(set(history["user_id"].to_pylist()))[:100], after)

    for source in ("--served", "--backfill"):
        out = tmp_path / source
        url = out if source == "--served" else f"{store.url.removesuffix('offline')}exported"
        assert f"{len(ids):,} transactions of {DAYS} days" in output_of(deployment, "features", "export", *days, "--out", str(url), source)
        filesystem, root = Storage.of(url).arrow()
        rows = pa_dataset.dataset(root, filesystem=filesystem, format="parquet", partitioning="hive").to_table()
        place = {name: i for i, name in enumerate(rows["transaction_id"].to_pylist())}
        exported = from_columns(V1, rows.take([place[name] for name in ids]).to_pandas())
        assert exported.tobytes() == expected.tobytes()


def asked(fs: FeatureStore, service: str, ids: list[str], day: date) -> np.ndarray:
    """The vectors that Feast has of these transactions, in their order."""
    entity_df = pd.DataFrame({"transaction_id": ids, "event_timestamp": pd.Timestamp(day, tz="UTC")})
    return from_columns(V1, fs.get_historical_features(entity_df=entity_df, features=fs.get_feature_service(service)).to_df())


def assert_last_values_are_those_online(fs: FeatureStore, users: list[str], day: date) -> None:
    """What Redis has of users is what S3 has of them as of a time after their last transaction."""
    names = ["transaction_stats:avg_transaction_amount", "transaction_stats:transaction_count"]
    now = fs.get_online_features(features=names, entity_rows=[{"user_id": user} for user in users]).to_df()
    entity_df = pd.DataFrame({"user_id": users, "event_timestamp": pd.Timestamp(day, tz="UTC")})
    then = fs.get_historical_features(entity_df=entity_df, features=names).to_df()
    columns = [name.split(":")[1] for name in names]
    assert now["transaction_count"].min() > 0
    pd.testing.assert_frame_equal(now[["user_id", *columns]], then[["user_id", *columns]], check_dtype=False, check_exact=True)
