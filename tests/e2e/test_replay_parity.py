"""Zero skew: what the stream scored on is, bit for bit, what the auditor and a backtest compute from the logs."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from features.history.columns import CANONICAL
from models.promotion import mlflow_audits
from tests.made.records import transaction
from tests.parity.replayed import assert_as_in_backtest
from tests.run.deployment import Deployment, champion, deployed
from tests.run.emptied import emptied

FIRST_DAYS, DAY_MS = 20, 86_400_000


@pytest.fixture(scope="module")
def month(handbook: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first weeks of the handbook as a file of the preset ``tidemark``."""
    start = pc.min(handbook["event_time"]).as_py() // DAY_MS * DAY_MS
    rows = handbook.filter(pc.less(handbook["event_time"], start + FIRST_DAYS * DAY_MS)).select(
        [n for n in CANONICAL.names if n != "label_time"]
    )
    file = tmp_path_factory.mktemp("month") / "month.parquet"
    pq.write_table(rows, file)
    return file


def replay(deployment: Deployment, file: Path, *arguments: str) -> None:
    sent = deployment.tidemark("replay", str(file), "--columns", "tidemark", *arguments)
    assert sent.returncode == 0, sent.stderr


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory, month: Path) -> Iterator[Deployment]:
    with deployed(tmp_path_factory.mktemp("four") / "home", partitions=4) as deployment:
        champion(deployment.config)
        with deployment.running("worker"):
            replay(deployment, month)
            deployment.work_until_idle()
        yield deployment


@pytest.mark.slow
def test_two_workers_over_four_partitions_pass_the_audit(four: Deployment, tmp_path: Path) -> None:
    passed = four.tidemark("audit", "--all", "--oracle-share", "0.05", "--event-time", "--json", str(tmp_path / "audit.json"))
    assert passed.returncode == 0, passed.stdout + passed.stderr
    found = json.loads((tmp_path / "audit.json").read_text())
    decisions = len(four.read("decisions"))
    assert found["audited"] == found["by_stream"] == found["event_time"]["rows"] == decisions > 80_000
    assert (found["mismatches"], found["causes"], found["undecided"]) == (0, {}, 0)
    assert found["store"]["keys"] > 2_000
    assert found["oracle"]["halves"] > 1_000
    assert found["oracle"]["first_seen"] > 100
    # How many depends on how far partitions run ahead of each other.
    assert found["oracle"]["with_frauds"] > 10
    # Unaligned, one partition runs ahead of another, which merchants notice and users don't.
    assert found["event_time"]["rows_that_differ"] > 0
    assert all(feature.startswith("merchant_") for feature in found["event_time"]["features"])
    verdict = mlflow_audits.latest(four.config.feature_set.digest, four.config.mlflow)
    assert verdict is not None
    assert (verdict.passed, verdict.audited) == (True, decisions)


def test_an_audit_needs_the_whole_log(shared: Deployment, tmp_path: Path) -> None:
    with emptied(shared, tmp_path / "home", partitions=2) as deployment:
        # On partition 1 of 2.
        deployment.send([transaction(i, "u11") for i in range(10)])
        admin = AdminClient({"bootstrap.servers": deployment.config.kafka})
        for removed in admin.delete_records([TopicPartition("transactions", 1, 5)]).values():
            removed.result(30)
        refused = deployment.tidemark("audit", "--dry-run")
    assert refused.returncode == 2
    assert "transactions[1] begins at offset 5: the log has lost what an audit must look at" in refused.stderr


@pytest.mark.slow
def test_one_partition_agrees_with_the_backtest(shared: Deployment, tmp_path: Path, month: Path) -> None:
    with emptied(shared, tmp_path / "home", partitions=1) as deployment:
        champion(deployment.config)
        replay(deployment, month)
        deployment.work_until_idle()
        scores = tmp_path / "scores.parquet"
        done = deployment.tidemark("backtest", str(month), "--columns", "tidemark", "--scores", str(scores))
        assert done.returncode == 0, done.stderr
        assert_as_in_backtest(deployment, pq.read_table(scores))
