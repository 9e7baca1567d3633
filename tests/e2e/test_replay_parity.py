"""Zero skew: what the stream scored on is, bit for bit, what the kernel, the oracle and a backtest compute from the logs."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from streams.columns import CANONICAL
from streams.events import Decision
from tests.deployment import Deployment, champion, deployed
from tests.parity.replayed import compare, read_logs

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


def test_two_workers_over_four_partitions_agree_with_kernel_and_oracle(four: Deployment) -> None:
    logs = read_logs(four)
    found = compare(logs, four.config.feature_set, sampled=1_500, least=300)
    assert found.scored == sum(type(event).__name__ == "Transaction" for event in logs.events.values()) > 80_000
    assert found.sampled_with_merchant_frauds >= 300
    assert found.sampled_first_seen >= 300
    assert (found.kernel_mismatches, found.oracle_mismatches) == (0, 0)


def test_one_partition_agrees_with_the_backtest(tmp_path: Path, month: Path) -> None:
    with deployed(tmp_path / "home", partitions=1) as deployment:
        champion(deployment.config)
        replay(deployment, month)
        deployment.work_until_idle()
        scores = tmp_path / "scores.parquet"
        done = deployment.tidemark("backtest", str(month), "--columns", "tidemark", "--scores", str(scores))
        assert done.returncode == 0, done.stderr
        logs = read_logs(deployment)
        names = deployment.config.feature_set.names
        decided = {decision.transaction_id: decision for decision in deployment.messages("decisions", Decision)}
    table = pq.read_table(scores)
    assert len(table) == len(logs.scored) == len(decided)
    vectors = np.column_stack([table[name].to_numpy() for name in names])
    expected = dict(zip(table["transaction_id"].to_pylist(), vectors, strict=True))
    differing = [name for place, name in logs.transaction_ids.items() if logs.scored[place].tobytes() != expected[name].tobytes()]
    assert not differing
    for name, probability, score, decision in zip(
        *(table[column].to_pylist() for column in ("transaction_id", "probability", "risk_score", "decision")), strict=True
    ):
        told = decided[name]
        assert (told.probability, told.risk_score, told.decision) == (probability, score, decision)
