"""`tidemark score-users`, as a user runs it: on a file, on an archive, onto the topic; and what it refuses."""

import json
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import pyarrow.compute as pc
import pytest
from msgspec import structs

from features.definitions import DAY
from features.errors import UserError
from features.history.columns import parse_mapping
from features.history.datafile import read_transactions
from features.offline.storage import Storage
from streams.messages.events import UserRisk
from streams.user_risk.parquet_table import UserRiskTable
from tests.made.archive import archive, records
from tests.made.history import BEGIN, simulated
from tests.made.seal import ANSWER_KEY
from tests.run.command_line import ran
from tests.run.deployment import Deployment, champion

run = partial(ran, "score-users")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten days of fifty users from 2025-01-01."""
    return simulated(tmp_path_factory.mktemp("history") / "history.parquet", 10, seed=2, users=50, merchants=30, takeovers=0.5)


@pytest.fixture
def store(tmp_path: Path, file: Path) -> Path:
    """An archive of the same."""
    archive(Storage.of(tmp_path / "store"), records(read_transactions(file, parse_mapping("tidemark"), "7d")))
    return tmp_path / "store"


@pytest.fixture(scope="module")
def registry(shared: Deployment, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A registry with a champion."""
    place = f"sqlite:///{tmp_path_factory.mktemp('registry') / 'mlflow.db'}"
    champion(structs.replace(shared.config, mlflow=place))
    return place


@pytest.fixture(autouse=True)
def _deployment(shared: Deployment, registry: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TIDEMARK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TIDEMARK_KAFKA", shared.config.kafka)
    monkeypatch.setenv("TIDEMARK_ANSWER_KEY", ANSWER_KEY)
    monkeypatch.setenv("TIDEMARK_MLFLOW", registry)
    monkeypatch.chdir(tmp_path)


def users(file: Path, before: int) -> int:
    """How many have paid before that moment."""
    table = read_transactions(file, parse_mapping("tidemark"))
    return len(set(table.filter(pc.less(table["event_time"], before))["user_id"].to_pylist()))


def test_a_file_and_its_archive_give_the_same(file: Path, store: Path, tmp_path: Path) -> None:
    run("--as-of", "2025-01-08", "--data", file, "--store", tmp_path / "by-file", "--json", tmp_path / "done.json")
    run("--as-of", "2025-01-08", "--store", store, "--max-lag", "24")
    day = date(2025, 1, 8)
    risks = UserRiskTable(Storage.of(store)).read(day)
    assert risks.equals(UserRiskTable(Storage.of(tmp_path / "by-file")).read(day))
    done = json.loads((tmp_path / "done.json").read_text())
    expected = users(file, BEGIN + 7 * DAY)
    assert (done["users"], done["day"], done["engine"], done["model"]) == (expected, "2025-01-08", "local", "models:/tidemark/1")
    assert sum(done["risk_levels"].values()) == expected == len(set(risks["user_id"].to_pylist()))


def test_now_is_filed_under_today(store: Path, file: Path) -> None:
    before = datetime.now(UTC).date()
    assert f"{users(file, BEGIN + 10 * DAY)} users" in run("--store", store)
    assert before <= UserRiskTable(Storage.of(store)).newest_day() <= datetime.now(UTC).date()  # type: ignore[operator]


def test_the_topic_has_the_newest_day(store: Path, file: Path, shared: Deployment) -> None:
    def sent() -> dict[str, UserRisk]:
        return {one.user_id: one for one in shared.messages("user-risk", UserRisk)}

    assert f"{users(file, BEGIN + 7 * DAY)} published" in run("--as-of", "2025-01-08", "--store", store, "--topic")
    risks = UserRiskTable(Storage.of(store)).read(date(2025, 1, 8)).to_pylist()
    newest = sent()
    assert [{name: getattr(newest[row["user_id"]], name) for name in row} for row in risks] == risks
    assert "none published" in run("--as-of", "2025-01-05", "--store", store, "--topic")
    assert sent() == newest
    run("--as-of", "2025-01-09", "--store", store, "--topic")
    assert {one.as_of for one in sent().values()} == {BEGIN + 8 * DAY}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--as-of", "yesterday"), "--as-of yesterday is no day"),
        (("--engine", "flink"), "--engine flink is not an engine; use auto, local or spark"),
        (
            ("--store", "empty"),
            "there is no archive of transactions at .*/empty/transactions; run `tidemark archive` first, or give --data",
        ),
        (("--as-of", "2024-12-31", "--store", "STORE"), "has no transaction before 2024-12-31T00:00:00Z; change --as-of"),
        (("--as-of", "2025-02-01", "--store", "STORE", "--max-lag", "24"), "is of 2025-01-10T.*, more than --max-lag 24 h before"),
        (("--data", "FILE", "--engine", "spark"), "--engine spark reads the archive"),
        (("--data", "FILE", "--columns", "handbook"), 'column "TRANSACTION_ID" is missing'),
        (("--model", "models:/tidemark/9", "--store", "STORE"), "has no version 9 of tidemark"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: tuple[str, ...], sentence: str, file: Path, store: Path) -> None:
    given = [{"STORE": str(store), "FILE": str(file)}.get(word, word) for word in arguments]
    with pytest.raises(UserError, match=sentence):
        run(*given)
    assert not list(store.glob("user-risk/*"))
