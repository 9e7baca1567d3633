"""An audit on a deployment asks for everything that must be there, and says so if there is nothing to audit."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.made.records import transaction
from tests.run.deployment import Deployment, champion
from tests.run.emptied import emptied
from tests.run.topics import create_again

SENT = 200


@pytest.fixture(scope="module")
def deployment(shared: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One on which nothing was decided."""
    with emptied(shared, tmp_path_factory.mktemp("complete") / "home") as deployment:
        champion(deployment.config)
        yield deployment


def audited(deployment: Deployment, status: int, *arguments: str) -> dict[str, Any]:
    """What an audit reports; it ends with this status."""
    file = deployment.home / "audit.json"
    done = deployment.tidemark("audit", "--all", "--dry-run", "--json", str(file), *arguments)
    assert done.returncode == status, done.stdout + done.stderr
    return {**json.loads(file.read_text()), "out": done.stdout, "err": done.stderr}


def test_everything_that_was_decided_must_be_there(deployment: Deployment) -> None:
    nothing = audited(deployment, 2)
    assert "can't audit: nothing was decided on fraud_v1 yet" in nothing["err"]

    deployment.send([transaction(i, f"u{i % 11}", f"m{i % 5}", 1_700_000_000_000 + i * 60_000) for i in range(SENT)])
    deployment.work_until_idle()
    passed = audited(deployment, 0)
    assert (passed["audited"], passed["undecided"]) == (SENT, 0)
    assert (passed["complete"]["decisions"], passed["complete"]["mismatches"]) == (SENT, 0)

    other = audited(deployment, 2, "--features", "fraud_v2")
    assert (
        f"nothing was decided on fraud_v2 yet; there are decisions, {SENT} on fraud_v1, audit these with --features fraud_v1"
        in other["err"]
    )

    rogue = Producer({"bootstrap.servers": deployment.config.kafka})
    rogue.produce("decisions", deployment.read("decisions")[0].value.replace(b'"offset":', b'"offset":9'), b"u1")
    rogue.produce("decisions", b"approved", b"u1")
    assert rogue.flush(10) == 0
    assert audited(deployment, 1)["complete"]["foreign_decision"] == 2


def test_decisions_that_are_gone_are_missed(deployment: Deployment) -> None:
    create_again(deployment.config, "decisions")
    found = audited(deployment, 1)
    assert (found["complete"]["missing_decision"], found["complete"]["decisions"]) == (SENT, 0)
    assert "missing decision, it is in scoring-log, decisions has no decision on it" in found["out"]
