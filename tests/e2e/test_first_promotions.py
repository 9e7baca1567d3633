"""A system on which nothing was decided yet, then something: what the auditor has to say of a version that is to serve."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.promotion import mlflow_audits
from models.registry import mlflow_registry
from tests.made.records import transaction
from tests.run.deployment import Deployment, champion
from tests.run.emptied import emptied

START = 1_700_000_000_000


@pytest.fixture
def deployment(shared: Deployment, tmp_path: Path) -> Iterator[Deployment]:
    with emptied(shared, tmp_path / "home") as deployment:
        yield deployment


@pytest.mark.slow
def test_an_audit_opens_the_gate_before_and_after_the_first_decision(deployment: Deployment) -> None:
    uri, digest = deployment.config.mlflow, deployment.config.feature_set.digest
    champion(deployment.config)
    assert mlflow_registry.tags("1", uri)["unopposed"]
    refused = deployment.tidemark("promote", "1")
    assert refused.returncode == 2
    assert "run tidemark audit --features fraud_v1" in refused.stderr

    nothing = deployment.tidemark("audit", "--features", "fraud_v1")
    # It is no success, but it is on record.
    assert (nothing.returncode, "nothing was decided on fraud_v1 yet" in nothing.stderr) == (2, True), nothing.stdout + nothing.stderr
    promoted = deployment.tidemark("promote", "1")
    assert "so there was nothing to audit" in promoted.stdout, promoted.stderr

    deployment.send([transaction(i, f"u{i % 7}", f"m{i % 5}", START + i * 60_000) for i in range(50)])
    deployment.work_until_idle()
    assert deployment.tidemark("audit").returncode == 0
    found = mlflow_audits.latest(digest, uri)
    assert found is not None
    assert (found.passed, found.audited) == (True, 50)
    assert "all of 50 decisions on its features" in deployment.tidemark("promote", "1").stdout
    # A sample of which none was in says nothing, and takes nothing back.
    empty = deployment.tidemark("audit", "--sample", "1", "--json", str(deployment.home / "audit.json"))
    audited = json.loads((deployment.home / "audit.json").read_text())["audited"]
    assert ("no decision on fraud_v1 was in the sample; use --all" in empty.stderr) == (audited == 0)
    after = mlflow_audits.latest(digest, uri)
    assert after is not None
    assert after.audited in (50, audited)
    assert after.audited > 0
