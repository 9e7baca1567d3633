"""The archive on a real Kafka and Spark: whatever kills it, each record is there once. On S3: tests/e2e/test_offline_on_s3.py."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from confluent_kafka import OFFSET_END, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from msgspec import structs

from features.offline.parquet_tables import OfflineTable
from features.offline.storage import Storage
from models.experiments.variant import Variant
from streams.archive.archived_topics import ARCHIVED
from streams.messages.record import LogRecord
from streams.score import Outcome, decide
from tests.made.archive_contents import assert_each_record_is_there_once, files_of, records_of
from tests.made.records import advanced, ingest_state, label, received, routed, score_state, scorer, transaction
from tests.made.seal import SEAL
from tests.run.deployment import ROOT, Deployment, end_group, eventually
from tests.run.emptied import emptied

RECORDS = 400


@pytest.fixture(scope="module")
def deployment(shared: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with emptied(shared, tmp_path_factory.mktemp("archive") / "home", partitions=2) as it:
        yield it


def decided(records: Sequence[LogRecord]) -> Outcome:
    return decide(advanced(score_state(), received(routed(ingest_state(), records))), Variant(scorer()), "EUR", 42)


def send_some(deployment: Deployment) -> None:
    """Transactions of five days with labels among them, decisions of which some are taken back, and their scoring log."""
    made = [transaction(i, f"u{i % 7}", time=1_700_000_000_000 + i * 1_000_000, amount=i) for i in range(RECORDS)]
    labels = [label(0, record, 1_700_500_000_000) for record in made[::10]]
    broken = LogRecord(0, 0, b"u1", b"{", [])
    deployment.send([*made, *labels, broken])
    deployment.send([structs.replace(record, headers=[]) for record in labels], "labels")
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
            producer.produce("scoring-log", value, partition=0, headers=[SEAL.header("scoring-log", 0, None, value)])
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
    # On a busy machine it would say how far it is.
    done = deployment.tidemark("--quiet", "archive", *arguments, timeout=300)
    assert done.returncode == 0, done.stderr[-3_000:]
    assert done.stderr == "", "Spark is quiet"
    return done.stdout


def remove_all_records(deployment: Deployment, topic: str) -> None:
    """As retention does."""
    admin = AdminClient({"bootstrap.servers": deployment.config.kafka})
    for removed in admin.delete_records([TopicPartition(topic, number, OFFSET_END) for number in range(2)]).values():
        removed.result(30)


def test_each_record_is_archived_once_whenever_it_is_killed(deployment: Deployment, tmp_path: Path) -> None:
    store = Storage.of(tmp_path)
    send_some(deployment)
    for moment in ("before", "after"):
        dies(command(deployment, "--once", "--store", store.url, module=("-m", "tests.run.killed", moment)))
    send_some(deployment)
    kill_at_random(deployment, store)
    output = succeeds(deployment, "--once", "--compact", "--store", store.url)
    assert "small files joined" in output
    table = OfflineTable(store, "transactions", ARCHIVED["transactions"].schema)
    assert table.currency() == "EUR"
    assert len(table.read(["offset"], pc.field("refused").is_valid())) == 2
    assert_each_record_is_there_once(deployment, store)


def test_it_says_how_many_records_are_archived_as_refused(deployment: Deployment, tmp_path: Path) -> None:
    found = len(records_of(deployment, "transactions"))
    deployment.send([transaction(0), LogRecord(0, 0, b"u1", b"{", []), transaction(1, currency="USD")])
    output = succeeds(deployment, "--once", "--store", str(tmp_path), "--json", str(tmp_path / "summary.json"))
    summary = json.loads((tmp_path / "summary.json").read_text())
    kept = OfflineTable(Storage.of(tmp_path), "transactions", ARCHIVED["transactions"].schema).read(
        ["offset"], pc.field("refused").is_valid()
    )
    assert summary["refused"] == {**dict.fromkeys(ARCHIVED, 0), "transactions": len(kept)}
    assert summary["rows"]["transactions"] == found + 3
    assert len(kept) >= 2
    assert f"transactions {found + 3:,} ({len(kept)} refused), labels " in output
    refused = deployment.tidemark("archive", "--once", "--store", str(in_dollars(tmp_path)))
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1), refused.stderr
    assert "transactions is in USD, but this deployment settles in EUR" in refused.stderr


def in_dollars(folder: Path) -> Path:
    """A store in which somebody has archived in USD."""
    schema = pa.schema([("offset", pa.int64())])
    OfflineTable(Storage.of(folder / "dollars"), "transactions", schema, "USD").commit([], "archive", 1)
    return folder / "dollars"


def kill_at_random(deployment: Deployment, store: Storage) -> None:
    known = len(files_of(store, "transactions"))
    process = command(deployment, "--every", "1", "--store", store.url)
    eventually(lambda: len(files_of(store, "transactions")) != known, 120, "a file")
    time.sleep(random.uniform(0, 1))
    process.kill()
    dies(process)


@pytest.mark.slow
def test_beside_a_running_archive_files_are_joined_and_readers_see_whole_batches(deployment: Deployment, tmp_path: Path) -> None:
    table = OfflineTable(Storage.of(tmp_path), "transactions", ARCHIVED["transactions"].schema)
    process = command(deployment, "--every", "1", "--store", str(tmp_path))
    try:
        with ThreadPoolExecutor(1) as compactor:
            sent = len(records_of(deployment, "transactions"))
            for _ in range(3):
                deployment.send([transaction(i) for i in range(50)])
                sent += 50
                compacting = compactor.submit(lambda: table.compact() if table.exists() else 0)
                eventually(lambda sent=sent: table.exists() and len(table.read(["offset"])) == sent, 120, "a batch")  # type: ignore[misc]
                compacting.result(60)
        process.terminate()
        assert process.wait(30) == 0
    finally:
        end_group(process.pid)
    table.compact()
    assert_each_record_is_there_once(deployment, Storage.of(tmp_path))

    shutil.rmtree(tmp_path / "_checkpoints/archive/transactions")
    deployment.send([transaction(0)])
    succeeds(deployment, "--once", "--store", str(tmp_path))
    assert_each_record_is_there_once(deployment, Storage.of(tmp_path))

    deployment.send([transaction(i, "gone") for i in range(10)])
    remove_all_records(deployment, "transactions")
    refused = deployment.tidemark("archive", "--once", "--store", str(tmp_path))
    assert refused.returncode == 2
    assert "transactions no longer has all that was to be archived next" in refused.stderr
    assert "raise its retention.ms" in refused.stderr

    shutil.rmtree(tmp_path / "transactions")
    refused = deployment.tidemark("archive", "--once", "--store", str(tmp_path))
    assert refused.returncode == 2
    assert "put it back; or remove the checkpoint" in refused.stderr
