"""An aligned replay over many partitions and workers decides what a backtest decides, bit for bit, whoever is killed on the way."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.history.columns import CANONICAL
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from tests.parity.replayed import assert_as_in_backtest
from tests.run.deployment import Deployment, champion, eventually
from tests.run.emptied import emptied

PARTITIONS, DAYS, DAY_MS, MINUTE_MS = 8, 9, 86_400_000, 60_000
REPLAY = ("--columns", "tidemark", "--labels-after", "1d")
SCORING = ("worker", "--stages", "labels,score")


@pytest.fixture(scope="module")
def history(handbook: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first days, by the minute and at few merchants: many transactions and labels share their moment and what they change."""
    start = pc.min(handbook["event_time"]).as_py() // DAY_MS * DAY_MS
    rows = handbook.filter(pc.less(handbook["event_time"], start + DAYS * DAY_MS))
    minute = pa.array(rows["event_time"].to_numpy() // MINUTE_MS * MINUTE_MS)
    merchant = pa.array([f"m{crc32(name.encode()) % 300}" for name in rows["merchant_id"].to_pylist()])
    for name, values in (("event_time", minute), ("merchant_id", merchant)):
        rows = rows.set_column(rows.schema.get_field_index(name), name, values)
    file = tmp_path_factory.mktemp("history") / "history.parquet"
    pq.write_table(rows.select([name for name in CANONICAL.names if name != "label_time"]), file)
    return file


@pytest.fixture(scope="module")
def deployment(shared: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with emptied(shared, tmp_path_factory.mktemp("aligned") / "home", partitions=PARTITIONS) as deployment:
        champion(deployment.config)
        yield deployment


def child(of: "subprocess.Popen[bytes]", argument: str) -> psutil.Process | None:
    """The process below this one that was started with this argument."""
    return next((process for process in psutil.Process(of.pid).children() if argument in process.cmdline()), None)


def records_on(deployment: Deployment, topic: str) -> int:
    log = KafkaLog(KafkaClients.of(deployment.config), "test")
    try:
        return sum(log.bounds(topic, partition)[1] for partition in range(PARTITIONS))
    finally:
        log.close()


def kill(process: psutil.Process | None) -> None:
    assert process is not None
    process.send_signal(signal.SIGKILL)


@pytest.fixture(scope="module")
def replayed(deployment: Deployment, history: Path) -> Deployment:
    """The history is replayed and decided; replay, INGEST and SCORE were each killed once on the way."""
    command = ("replay", "--aligned", str(history), *REPLAY)
    with deployment.running(*SCORING) as worker, deployment.running(*SCORING):
        with deployment.running(*command, "--rate", "10000") as replay:
            eventually(lambda: records_on(deployment, "transactions") > 10_000, what="a part of the replay")
            replay.kill()
            replay.wait(10)
        sent, batches = records_on(deployment, "transactions"), records_on(deployment, "transactions.by-merchant")
        assert sent < 30_000
        # The same command goes on.
        with deployment.running(*command, "--rate", "4000") as replay:
            eventually(lambda: records_on(deployment, "transactions.by-merchant") > batches, what="INGEST's next batches")
            kill(child(replay, "streams.replay.aligned.kafka_process"))
            kill(child(worker, "score"))
            assert replay.wait(120) == 0
        # A plain worker passes over the end of the replay.
        deployment.work_until_idle()
    return deployment


def test_vectors_and_decisions_are_the_backtests_whoever_is_killed(replayed: Deployment, history: Path, tmp_path: Path) -> None:
    scores = tmp_path / "scores.parquet"
    done = replayed.tidemark("backtest", str(history), *REPLAY, "--scores", str(scores))
    assert done.returncode == 0, done.stderr
    assert not replayed.read("dead-letters")
    vectors = assert_as_in_backtest(replayed, pq.read_table(scores))
    assert len(vectors) > 30_000
    frauds = replayed.config.feature_set.names.index("merchant_fraud_count_30d")
    assert sum(vector[frauds] > 0 for vector in vectors.values()) > 100


@pytest.mark.slow
def test_its_vectors_are_the_ideal_ones(replayed: Deployment, tmp_path: Path) -> None:
    passed = replayed.tidemark("audit", "--all", "--dry-run", "--event-time", "--json", str(tmp_path / "audit.json"))
    assert passed.returncode == 0, passed.stdout + passed.stderr
    found = json.loads((tmp_path / "audit.json").read_text())
    assert (found["mismatches"], found["undecided"], found["event_time"]["rows_that_differ"]) == (0, 0, 0)
    assert found["event_time"]["rows"] == found["audited"] > 30_000


def test_given_again_it_sends_nothing(replayed: Deployment, history: Path) -> None:
    before = replayed.read("transactions")
    done = replayed.tidemark("replay", "--aligned", str(history), *REPLAY)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0 transactions and 0 labels")
    assert len(replayed.read("transactions")) == len(before)
