"""`tidemark retrain`: one run at a time, the same thing once, a candidate that was validated, and a report."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from features.definitions import DAY, FEATURE_SETS
from features.errors import UserError
from infra.local.lease import Lease
from models.promotion import mlflow_audits
from models.promotion.mlflow_retraining import RetrainingPlan
from models.registry import mlflow_client, mlflow_registry
from models.training.pipeline import TrainingPlan
from models.training.tuning import space
from models.training_set.label_maturity import Immature
from tests.made.history import simulated
from tests.made.models import passed_audit
from tests.run.command_line import home_at
from tests.run.command_line import ran as tidemark


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seventy days of 400 users."""
    return simulated(tmp_path_factory.mktemp("history") / "history.parquet", 70)


def retrained(home: Path, file: Path, reason: str, *more: str) -> dict[str, object]:
    given = ("--data", file, "--history-days", "7,28", "--author", "ada")
    tidemark("retrain", "--reason", reason, *given, "--json", home / "report.json", *more)
    return dict(json.loads((home / "report.json").read_text()))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with home_at(tmp_path) as home:
        yield home


def test_it_ends_with_a_validated_candidate_and_asked_again_does_nothing(home: Path, file: Path) -> None:
    uri = f"sqlite:///{home / 'mlflow.db'}"
    first = retrained(home, file, "schedule", "--as-of", "2025-01-24")
    assert (first["status"], first["version"], first["role"], first["validated"]) == ("trained", "1", "champion", None)

    alert = retrained(home, file, "alert: drift of amount")
    assert alert["status"] == "trained", alert["sentence"]
    assert (alert["version"], alert["reason"], alert["role"]) == ("3", "alert: drift of amount", "candidate")
    validated = alert["validated"]
    assert isinstance(validated, dict)
    assert (validated["version"], validated["champion"], validated["passed"]) == ("2", "1", True)
    # Which history it was to learn from was tried out.
    assert {tried.split(" days")[0] for tried in validated["history"]["tried"]} == {"7", "28", "7+28"}
    tags = mlflow_registry.tags("3", uri)
    assert (tags["refit_of"], tags["retrain_reason"], tags["author"]) == ("2", "alert: drift of amount", "ada")
    # The validated one knows nothing of the weeks it was compared on, nor of the label delay before; the refit knows them all.
    trained_to = [int(mlflow_registry.tags(version, uri)["trained_to"]) for version in ("2", "3")]
    assert validated["comparison"]["first"] > trained_to[0] + 7 * DAY
    assert trained_to[1] > validated["comparison"]["last"] - DAY
    assert mlflow_registry.champion_version(uri) == "1"

    again = retrained(home, file, "schedule")
    assert (again["status"], again["version"]) == ("unchanged", "3")
    # The auditor is asked when it is to serve; the verdict that it rests on doesn't age by that.
    assert validated["audit"] is None
    with pytest.raises(UserError, match=r"version 3 can't become champion: no audit of its features .* is on record"):
        tidemark("promote", "3", "--data", file)
    mlflow_audits.record(FEATURE_SETS["fraud_v1"].digest, passed_audit(), uri)
    assert "models:/tidemark/3 is champion" in tidemark("promote", "3", "--data", file)


def test_what_could_not_be_compared_is_not_called_worse(home: Path, file: Path) -> None:
    retrained(home, file, "schedule")
    report = retrained(home, file, "schedule", "--seed", "1")
    assert (report["status"], report["version"]) == ("not_compared", "2")
    assert str(report["sentence"]).startswith("not compared with the champion, version 1: there are no matured transactions to compare on")


def test_what_was_searched_for_is_what_the_refit_is_grown_with(home: Path, file: Path) -> None:
    uri = f"sqlite:///{home / 'mlflow.db'}"
    retrained(home, file, "schedule", "--as-of", "2025-01-24")
    search = ("--search", "1000", "--search-tries", "2", "--seed", "1")
    report = retrained(home, file, "schedule", *search)
    assert report["status"] == "trained", report["sentence"]
    client = mlflow_client.connect(uri)
    validated, refit = (client.get_run(client.get_model_version("tidemark", version).run_id).data.params for version in ("2", "3"))
    assert validated["search_tries"] == "2"
    assert "search_tries" not in refit
    assert {name: refit[name] for name in space()} == {name: validated[name] for name in space()}
    assert retrained(home, file, "schedule", *search)["status"] == "unchanged"


@pytest.mark.parametrize(
    ("immature", "relabelled", "end", "as_of"),
    [
        # day 0 ……… learnt from ………… 79 │ labels' delay │ 86 ── held back ── 93 │ labels' delay │ 100
        ("left-out", True, 79, 86),
        ("weighted", True, 79, 79),
        ("left-out", False, 79, 100),
    ],
)
def test_the_validated_candidate_knows_what_was_known_then(immature: Immature, relabelled: bool, end: int, as_of: int) -> None:
    whole = TrainingPlan(FEATURE_SETS["fraud_v1"], 0, 101 * DAY, 100 * DAY - 1, 7 * DAY, immature=immature)
    found = RetrainingPlan("", whole, 1).validated(relabelled=relabelled)
    assert (found.end, found.as_of) == (end * DAY, as_of * DAY - (as_of == 100))


def test_while_one_runs_another_ends_at_once_and_says_so(home: Path, file: Path) -> None:
    with Lease(home / "retrain.lease", 60):
        report = retrained(home, file, "schedule")
    assert report["status"] == "running"
    assert f"process {os.getpid()}" in str(report["owner"])
    assert not (home / "mlflow.db").exists()


def test_two_triggers_at_once_are_one_run(home: Path, file: Path) -> None:
    script = "from api.cli import main; main()"
    arguments = [
        "retrain",
        "--reason",
        "twice",
        "--data",
        str(file),
        "--columns",
        "tidemark",
        "--history-days",
        "7",
        "--as-of",
        "2025-02-20",
    ]
    both = [
        subprocess.Popen(
            [sys.executable, "-c", script, *arguments, "--json", str(home / f"{trigger}.json")],
            env={**os.environ, "TIDEMARK_HOME": str(home)},
            cwd=Path(__file__).parents[3],
        )
        for trigger in (0, 1)
    ]
    assert [process.wait(timeout=300) for process in both] == [0, 0]
    reports = [json.loads((home / f"{trigger}.json").read_text()) for trigger in (0, 1)]
    statuses = sorted(report["status"] for report in reports)
    # The second reports the first, or, if it was late, its outcome.
    assert statuses in (["running", "trained"], ["trained", "unchanged"])
    assert mlflow_registry.champion_version(f"sqlite:///{home / 'mlflow.db'}") == "1"
    with pytest.raises(UserError, match="no version 2"):
        mlflow_registry.tags("2", f"sqlite:///{home / 'mlflow.db'}")


def test_too_little_history_is_one_sentence(home: Path, file: Path) -> None:
    with pytest.raises(UserError, match=r"retraining on rows up to .* failed: .* labels of the range come after --as-of"):
        retrained(home, file, "schedule", "--as-of", "2025-01-05")
    assert not Lease(home / "retrain.lease", 60).__enter__().held_by
