"""The promotion gate, through the command, on a registry on SQLite."""

import json
from pathlib import Path

import pytest

from api.cli import model
from features.errors import UserError
from models import mlflow_gate, mlflow_registry
from models.mlflow_gate import AuditVerdict
from models.training import Trained
from tests.command_line import ran
from tests.models.made import POLICY, V1, booster

FAILED = AuditVerdict(False, 1_000, 3, "2026-01-31T09:30:00+00:00")
PASSED = AuditVerdict(True, 1_000, 0, "2026-01-31T09:40:00+00:00")


def promote(*arguments: str) -> str:
    return ran(model, "promote", *arguments)


FORCED = ("--force", "--reason", "a rehearsal", "--author", "ada")


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """With a champion, version 1, and a candidate, version 2."""
    monkeypatch.setenv("TIDEMARK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TIDEMARK_MLFLOW", uri := f"sqlite:///{tmp_path / 'mlflow.db'}")
    for seed in (0, 1):
        mlflow_registry.register(Trained(booster(seed), POLICY, {}, {}), V1, uri)
    return uri


def test_features_that_failed_their_latest_audit_keep_a_version_from_serving(registry: str) -> None:
    mlflow_gate.record(V1.digest, FAILED, registry)
    with pytest.raises(UserError, match=r"version 1 can't become champion: .* 3 of 1000 decisions on its features .* say --despite-audit"):
        promote("1")
    told = promote("1", "--despite-audit", "--author", "ada")
    assert "models:/tidemark/1 is champion" in told
    overlooked = json.loads(mlflow_registry.tags("1", registry)["gate.champion"])["overlooked"]
    assert overlooked["author"] == "ada"
    assert overlooked["audit"] in told
    with pytest.raises(UserError, match="3 of 1000 decisions"):
        promote("2", "--as", "shadow")


def test_the_latest_audit_of_these_features_counts(registry: str) -> None:
    assert mlflow_gate.latest(V1.digest, registry) is None
    mlflow_gate.record("0" * 64, FAILED, registry)
    promote("1")
    mlflow_gate.record(V1.digest, FAILED, registry)
    mlflow_gate.record(V1.digest, PASSED, registry)
    assert mlflow_gate.latest(V1.digest, registry) == PASSED
    promote("1")
    assert mlflow_registry.champion_version(registry) == "1"


def test_without_anything_to_compare_on_no_other_version_becomes_champion_or_challenger(registry: str) -> None:
    for role in ("champion", "challenger"):
        with pytest.raises(UserError, match=f"version 2 can't become {role}: nothing says how it compares with the champion, version 1"):
            promote("2", "--as", role)
    assert mlflow_registry.champion_version(registry) == "1"


def test_the_champion_is_no_challenger_of_itself(registry: str) -> None:
    with pytest.raises(UserError, match="version 1 can't become challenger: it is the champion itself; name another version"):
        promote("1", "--as", "challenger")
    assert mlflow_registry.champion_version(registry) == "1"


def test_a_shadow_decides_nothing_and_needs_no_comparison(registry: str) -> None:
    assert "models:/tidemark/2 is shadow" in promote("2", "--as", "shadow")
    assert mlflow_registry.load("models:/tidemark@shadow", registry).model_version == "2"
    assert mlflow_registry.tags("2", registry)["role"] == "shadow"
    assert mlflow_registry.champion_version(registry) == "1"


def test_force_needs_a_reason_and_goes_on_record(registry: str) -> None:
    with pytest.raises(UserError, match="needs a reason; add --reason"):
        promote("2", "--force")
    told = promote("2", *FORCED)
    assert "models:/tidemark/2 is champion" in told
    assert "forced, although nothing says how it compares" in told
    tags = mlflow_registry.tags("2", registry)
    forced = json.loads(tags["forced.champion"])
    assert (forced["author"], forced["reason"]) == ("ada", "a rehearsal")
    assert forced["despite"][0].startswith("nothing says how it compares")
    assert tags["role"] == "champion"
    assert "forced.champion" not in mlflow_registry.tags("1", registry)


def test_a_role_that_is_none_is_refused(registry: str) -> None:
    with pytest.raises(UserError, match="--as king is no role; say one of champion, challenger, shadow"):
        promote("2", "--as", "king")
    assert registry


def test_an_unknown_version_is_refused(registry: str) -> None:
    with pytest.raises(UserError, match="no version 9 of tidemark"):
        promote("9")


def test_a_scorer_is_found_by_the_digest_that_decisions_name(registry: str) -> None:
    second = mlflow_registry.load("models:/tidemark/2", registry)
    assert mlflow_registry.load_digest(second.model_digest, registry).model_version == "2"
    with pytest.raises(UserError, match="no model of digest 000000000000"):
        mlflow_registry.load_digest("0" * 64, registry)
