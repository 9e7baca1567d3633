"""The promotion gate, through the command, on a registry on SQLite."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from features.errors import UserError
from models.learners.trained import Trained
from models.promotion import mlflow_audits
from models.promotion.mlflow_audits import AuditVerdict
from models.registry import mlflow_client, mlflow_registry
from tests.made.models import POLICY, V1, booster, passed_audit
from tests.run.command_line import ran

FAILED = AuditVerdict(False, 1_000, 3, "2026-01-31T09:30:00+00:00")


PASSED = passed_audit()


def promote(*arguments: str) -> str:
    return ran("promote", *arguments)


FORCED = ("--force", "--reason", "a rehearsal", "--author", "ada")


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """With a champion, version 1, and a candidate, version 2, of audited features."""
    monkeypatch.setenv("TIDEMARK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TIDEMARK_MLFLOW", uri := f"sqlite:///{tmp_path / 'mlflow.db'}")
    for seed in (0, 1):
        mlflow_registry.register(Trained(booster(seed), POLICY, {}, {}), V1, uri)
    mlflow_audits.record(V1.digest, PASSED, uri)
    return uri


@pytest.fixture
def unaudited(registry: str) -> str:
    """The same, but no audit was ever made."""
    mlflow_client.connect(registry).delete_registered_model_tag("tidemark", f"audit.{V1.digest}")
    return registry


def of_other_features(version: str, registry: str) -> None:
    mlflow_registry.tag(version, {"features_digest": "2" * 64, "feature_set": "fraud_v2"}, registry)


def test_features_that_failed_their_latest_audit_keep_a_version_from_serving(registry: str) -> None:
    mlflow_audits.record(V1.digest, FAILED, registry)
    with pytest.raises(UserError, match=r"version 1 can't become champion: .* 3 of 1000 decisions on its features .* use --despite-audit"):
        promote("1")
    printed = promote("1", "--despite-audit", "--author", "ada")
    assert "models:/tidemark/1 is champion" in printed
    overlooked = json.loads(mlflow_registry.tags("1", registry)["gate.champion"])["overlooked"]
    assert overlooked["author"] == "ada"
    assert overlooked["audit"] in printed
    with pytest.raises(UserError, match="3 of 1000 decisions"):
        promote("2", "--as", "shadow")


def test_features_that_were_never_audited_keep_a_version_from_serving(unaudited: str) -> None:
    for role in ("champion", "challenger", "shadow"):
        with pytest.raises(UserError) as refused:
            promote("2", "--as", role)
        sentence = str(refused.value)
        assert f"version 2 can't become {role}: no audit of its features (fraud_v1, {V1.digest[:12]}) is on record" in sentence
        assert "run tidemark audit --features fraud_v1, or use --despite-audit, which goes on record" in sentence
        assert "--force --reason" in sentence
    assert "although no audit of its features" in promote("1", "--despite-audit", "--author", "ada")
    overlooked = json.loads(mlflow_registry.tags("1", unaudited)["gate.champion"])["overlooked"]
    assert (overlooked["author"], overlooked["audit"].split(" (")[0]) == ("ada", "no audit of its features")
    assert "forced, although no audit of its features" in promote("2", *FORCED)


def test_the_latest_audit_of_these_features_counts(unaudited: str) -> None:
    assert mlflow_audits.latest(V1.digest, unaudited) is None
    mlflow_audits.record("0" * 64, PASSED, unaudited)
    with pytest.raises(UserError, match="no audit of its features"):
        promote("1")
    mlflow_audits.record(V1.digest, FAILED, unaudited)
    mlflow_audits.record(V1.digest, PASSED, unaudited)
    assert mlflow_audits.latest(V1.digest, unaudited) == PASSED
    assert "all of 1000 decisions on its features" in promote("1")
    assert "reproduced bit for bit" in json.loads(mlflow_registry.tags("1", unaudited)["gate.champion"])["audit"]
    assert mlflow_registry.champion_version(unaudited) == "1"


def test_as_long_as_there_is_no_champion_there_is_nothing_to_audit(unaudited: str) -> None:
    assert mlflow_registry.tags("1", unaudited)["unopposed"].startswith("champion without the gate: there was none")
    assert "unopposed" not in mlflow_registry.tags("2", unaudited)
    mlflow_client.connect(unaudited).delete_registered_model_alias("tidemark", "champion")
    sentence = "there is no champion, so nothing is served that could be audited"
    assert sentence in promote("2")
    assert json.loads(mlflow_registry.tags("2", unaudited)["gate.champion"])["audit"] == sentence


def test_where_nothing_was_decided_yet_the_audit_that_found_so_holds_for_a_day(unaudited: str) -> None:
    mlflow_audits.record(V1.digest, passed_audit(timedelta(hours=23), audited=0), unaudited)
    assert "nothing was decided on its features" in promote("1")
    mlflow_audits.record(V1.digest, passed_audit(timedelta(hours=25), audited=0), unaudited)
    with pytest.raises(UserError, match=r"which is more than a day ago \(run tidemark audit --features fraud_v1 again"):
        promote("1")


def test_an_audit_holds_for_a_week(registry: str) -> None:
    mlflow_audits.record(V1.digest, passed_audit(timedelta(days=6, hours=23)), registry)
    assert "all of 1000 decisions" in promote("1")
    mlflow_audits.record(V1.digest, passed_audit(timedelta(days=7, hours=1)), registry)
    with pytest.raises(UserError, match=r"bit for bit, which is more than a week ago \(run tidemark audit --features fraud_v1 again"):
        promote("1")
    # One that failed bars for ever.
    mlflow_audits.record(V1.digest, FAILED, registry)
    with pytest.raises(UserError, match="3 of 1000 decisions"):
        promote("1")


@pytest.mark.parametrize("own", [None, passed_audit(audited=0)])
def test_features_on_which_nothing_was_decided_rest_on_the_audit_of_the_champions(unaudited: str, own: AuditVerdict | None) -> None:
    of_other_features("2", unaudited)
    if own is not None:
        mlflow_audits.record("2" * 64, own, unaudited)
    with pytest.raises(
        UserError, match=r"no audit of the champion's features \(fraud_v1, .*; nothing .*run tidemark audit --features fraud_v1"
    ):
        promote("2", "--as", "shadow")
    mlflow_audits.record(V1.digest, FAILED, unaudited)
    with pytest.raises(UserError, match="3 of 1000 decisions on the champion's features"):
        promote("2", "--as", "shadow")
    mlflow_audits.record(V1.digest, PASSED, unaudited)
    assert "all of 1000 decisions on the champion's features (fraud_v1" in promote("2", "--as", "shadow")


def test_once_decided_on_features_are_audited_themselves(registry: str) -> None:
    of_other_features("2", registry)
    mlflow_audits.record("2" * 64, FAILED, registry)
    with pytest.raises(UserError, match=r"3 of 1000 decisions on its features \(fraud_v2"):
        promote("2", "--as", "shadow")


def test_an_audit_is_noted_before_any_model_is_registered(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    mlflow_audits.record(V1.digest, PASSED, uri)
    assert mlflow_audits.latest(V1.digest, uri) == PASSED


def test_without_anything_to_compare_on_no_other_version_becomes_champion_or_challenger(registry: str) -> None:
    for role in ("champion", "challenger"):
        with pytest.raises(UserError, match=f"version 2 can't become {role}: nothing shows how it compares with the champion, version 1"):
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
    printed = promote("2", *FORCED)
    assert "models:/tidemark/2 is champion" in printed
    assert "forced, although nothing shows how it compares" in printed
    tags = mlflow_registry.tags("2", registry)
    forced = json.loads(tags["forced.champion"])
    assert (forced["author"], forced["reason"]) == ("ada", "a rehearsal")
    assert forced["despite"][0].startswith("nothing shows how it compares")
    assert tags["role"] == "champion"
    assert "forced.champion" not in mlflow_registry.tags("1", registry)


def test_a_role_that_is_none_is_refused(registry: str) -> None:
    with pytest.raises(UserError, match="--as king is not a role; use one of champion, challenger, shadow"):
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
