"""The archive on a real Kafka and Spark, in a folder and on a real S3 server: whatever kills it, each record is there once."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import msgspec
import pyarrow as pa
import pyarrow.fs as pa_fs
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Producer

from features.parquet_offline import OfflineTable
from features.storage import Storage
from streams.archive.topics import ARCHIVED
from streams.kafka_log import LogRecord
from streams.score import Outcome, Variant, decide
from tests.deployment import ROOT, Deployment, deployed, end_group, eventually
from tests.s3_server import BUCKET, s3_server
from tests.streams.logs import advanced, ingest_state, label, received, routed, score_state, scorer, transaction

RECORDS = 400


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deployed(tmp_path_factory.mktemp("archive") / "home", partitions=2) as it:
        yield it


@pytest.fixture(scope="module", params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    folder = tmp_path_factory.mktemp("store")
    if request.param == "folder":
        yield Storage.of(folder)
        return
    with s3_server(folder) as environment, mock.patch.dict(os.environ, environment):
        yield Storage.of(f"s3://{BUCKET}/offline")


def decided(records: Sequence[LogRecord]) -> Outcome:
    return decide(advanced(score_state(), received(routed(ingest_state(), records))), Variant(scorer()), "EUR", 42)


def send_some(deployment: Deployment) -> None:
    """Transactions of five days with labels among them, decisions of which some are taken back, and their scoring log."""
    made = [transaction(i, f"u{i % 7}", time=1_700_000_000_000 + i * 1_000_000, amount=i) for i in range(RECORDS)]
    labels = [label(0, record, 1_700_500_000_000) for record in made[::10]]
    broken = LogRecord(0, 0, b"u1", b"{", [])
    deployment.send([*made, *labels, broken])
    deployment.send([record._replace(headers=[]) for record in labels], "labels")
    user = {"user_id": "u1", "created_at": 1_700_000_000_000, "country": "NL", "segment": "gold"}
    deployment.send([LogRecord(0, 0, b"u1", msgspec.json.encode(user), [])], "users")
    outcome = decided(made)
    producer = Producer({"bootstrap.servers": deployment.config.kafka, "transactional.id": "test-archive"})
    producer.init_transactions()
    for finish in (producer.abort_transaction, producer.commit_transaction):
        producer.begin_transaction()
        for key, value in outcome.decisions:
            producer.produce("decisions", value, key)
        for value in outcome.log:
            producer.produce("scoring-log", value)
        producer.flush()
        finish()


def command(
    deployment: Deployment, *arguments: str, module: Sequence[str] = ("-c", "from api.cli import main; main()")
) -> "subprocess.Popen[bytes]":
    log = (deployment.home / f"archive-{time.monotonic_ns()}.log").open("wb")
    with log:
        return subprocess.Popen(
            [sys.executable, *module, "archive", *arguments],
            env=deployment.environment,
            cwd=ROOT,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def dies(process: "subprocess.Popen[bytes]") -> None:
    assert process.wait(240) == -signal.SIGKILL
    end_group(process.pid)


def succeeds(deployment: Deployment, *arguments: str) -> str:
    done = deployment.tidemark("archive", *arguments, timeout=300)
    assert done.returncode == 0, done.stderr[-3_000:]
    assert done.stderr == "", "Spark is quiet"
    return done.stdout


def expected(deployment: Deployment, topic: str) -> set[tuple[int, int]]:
    """The committed records of a topic as a consumer sees them that has nothing to do with ours."""
    return {(record.partition, record.offset) for record in deployment.read(topic)}


def files_of(store: Storage, topic: str) -> list[str]:
    """All Parquet files in a table's folders, whatever its log says."""
    filesystem, root = store.at(topic).arrow()
    found = filesystem.get_file_info(pa_fs.FileSelector(root, recursive=True, allow_not_found=True))
    return [file.path for file in found if file.path.endswith(".parquet") and "_delta_log" not in file.path]


def assert_each_record_is_there_once(deployment: Deployment, store: Storage) -> None:
    """For readers by the table's log and for those that just take all files, and nothing that was aborted."""
    filesystem, _ = store.arrow()
    for topic, archived in ARCHIVED.items():
        names = ["partition", "offset", *(["row"] if topic == "scoring-log" else [])]
        committed = OfflineTable(store, topic, archived.schema).read(names)
        plain = [pq.read_table(path, filesystem=filesystem, columns=names, partitioning=None) for path in files_of(store, topic)]
        for seen in (committed, pa.concat_tables(plain)):
            rows = Counter(zip(*seen.to_pydict().values(), strict=True))
            assert set(rows.values()) == {1}, topic
            assert {row[:2] for row in rows} == expected(deployment, topic), topic


def test_each_record_is_archived_once_whenever_it_is_killed(deployment: Deployment, store: Storage) -> None:
    send_some(deployment)
    for moment in ("before", "after"):
        dies(command(deployment, "--once", "--store", store.url, module=("-m", "tests.streams.archive_killed", moment)))
    send_some(deployment)
    if not store.is_remote:
        kill_at_random(deployment, store)
    said = succeeds(deployment, "--once", "--compact", "--store", store.url)
    assert "small files joined" in said
    assert_each_record_is_there_once(deployment, store)


def kill_at_random(deployment: Deployment, store: Storage) -> None:
    known = len(files_of(store, "transactions"))
    process = command(deployment, "--every", "1", "--store", store.url)
    eventually(lambda: len(files_of(store, "transactions")) != known, 120, "a file")
    time.sleep(random.uniform(0, 1))
    process.kill()
    dies(process)


def test_beside_a_running_archive_files_are_joined_and_readers_see_whole_batches(deployment: Deployment, tmp_path: Path) -> None:
    table = OfflineTable(Storage.of(tmp_path), "transactions", ARCHIVED["transactions"].schema)
    process = command(deployment, "--every", "1", "--store", str(tmp_path))
    try:
        with ThreadPoolExecutor(1) as compactor:
            sent = len(expected(deployment, "transactions"))
            for _ in range(3):
                deployment.send([transaction(i) for i in range(50)])
                sent += 50
                compacting = compactor.submit(lambda: table.compact() if table.exists() else 0)
                eventually(lambda sent=sent: table.exists() and len(table.read(["offset"])) == sent, 120, "a batch")  # type: ignore[misc]
                compacting.result(60)
        began = time.monotonic()
        process.terminate()
        assert process.wait(30) == 0
        assert time.monotonic() - began < 10
    finally:
        end_group(process.pid)
    table.compact()
    assert_each_record_is_there_once(deployment, Storage.of(tmp_path))

    shutil.rmtree(tmp_path / "_checkpoints/archive/transactions")
    deployment.send([transaction(0)])
    succeeds(deployment, "--once", "--store", str(tmp_path))
    assert_each_record_is_there_once(deployment, Storage.of(tmp_path))

    shutil.rmtree(tmp_path / "transactions")
    refused = deployment.tidemark("archive", "--once", "--store", str(tmp_path))
    assert refused.returncode == 2
    assert "put it back; or remove the checkpoint" in refused.stderr
