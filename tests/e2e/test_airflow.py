"""Airflow over a real deployment: each DAG runs the real command on what was really decided and archived."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from features.backfill.archived_log import of_table
from features.definitions import DAY, FEATURE_SETS
from features.history.columns import parse_mapping
from features.history.datafile import read_transactions, write_transactions
from features.offline.storage import Storage
from models.registry import mlflow_registry
from streams.messages.events import UserRisk
from streams.simulate import SIMULATED, SimulationSpec, simulate_chunks
from streams.user_risk.parquet_table import UserRiskTable
from streams.user_risk.risk import user_risk
from tests.infra.airflow.airflow_runs import Airflow, Run
from tests.run.deployment import Deployment, champion, deployed

BEGIN = 20_089 * DAY  # 2025-01-01
NEWEST, PAST = date(2025, 1, 18), date(2025, 1, 12)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("history") / "history.parquet"
    spec = SimulationSpec(seed=1, users=60, merchants=40, start_ms=BEGIN, days=32, takeovers=60)
    write_transactions(path, simulate_chunks(spec), SIMULATED)
    return path


@pytest.fixture(scope="module")
def deployment(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The history is decided and archived."""
    with deployed(tmp_path_factory.mktemp("airflow") / "home", partitions=2) as it:
        champion(it.config)
        for command in (("replay", str(file), "--columns", "tidemark"), ("worker", "--until-idle"), ("archive", "--once")):
            done = it.tidemark(*command)
            assert done.returncode == 0, done.stderr[-2_000:]
        yield it


def risks(file: Path, deployment: Deployment, day: date) -> pa.Table:
    """By the file alone."""
    scorer = mlflow_registry.load("models:/tidemark@champion", deployment.config.mlflow)
    moment = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
    table = read_transactions(file, parse_mapping("tidemark"), "7d")
    return user_risk(of_table(table, moment), FEATURE_SETS["fraud_v1"], scorer, moment)


@pytest.mark.slow
def test_each_dag_runs_and_a_past_day_is_made_up_for(deployment: Deployment, file: Path) -> None:
    airflow = Airflow(deployment.home)
    airflow.migrate()
    table = UserRiskTable(Storage.of(deployment.home / "offline"))
    folder = deployment.home / "offline" / "user-risk"

    (first,) = airflow.run([Run("daily_user_risk", NEWEST.isoformat())])
    assert first["state"] == "success", first
    newest = table.read(NEWEST)
    before = sorted(path.name for path in folder.glob(f"date={NEWEST}/*"))

    rest: list[dict[str, Any]] = airflow.run(
        [
            Run("daily_user_risk", PAST.isoformat()),
            Run("daily_user_risk", NEWEST.isoformat()),
            Run("nightly_outcomes", NEWEST.isoformat()),
            Run("compact_archive", NEWEST.isoformat()),
            Run("nightly_audit", NEWEST.isoformat()),
            Run("retrain", NEWEST.isoformat(), {"reason": "drift of amount"}),
        ]
    )
    assert [run["state"] for run in rest] == ["success"] * 6, rest
    assert sorted(path.name for path in folder.glob("date=*")) == [f"date={PAST}", f"date={NEWEST}"]

    assert newest.equals(risks(file, deployment, NEWEST))
    assert table.read(NEWEST).equals(newest)
    assert len(sorted(folder.glob(f"date={NEWEST}/*"))) == len(before) == 1
    assert table.read(PAST).equals(risks(file, deployment, PAST))
    # Compared with the champion on the newest matured week of the archive, which it hadn't seen.
    candidate = mlflow_registry.tags("2", deployment.config.mlflow)
    assert (candidate["retrain_reason"], candidate["code_version"] != "") == ("drift of amount", True)
    verdict = json.loads(candidate["gate.champion"])
    assert (verdict["version"], verdict["champion"], verdict["comparison"]["frauds"] >= 30) == ("2", "1", True)
    assert verdict["comparison"]["first"] > int(candidate["trained_to"]) + 7 * DAY
    assert mlflow_registry.champion_version(deployment.config.mlflow) == "1", "nothing is promoted by itself"
    # The topic heard of the newest day, twice, and never of the day that was made up for.
    sent = deployment.messages("user-risk", UserRisk)
    assert len(sent) == 2 * len(newest)
    expected = {row["user_id"]: row for row in newest.to_pylist()}
    assert all({name: getattr(one, name) for name in newest.column_names} == expected[one.user_id] for one in sent)
