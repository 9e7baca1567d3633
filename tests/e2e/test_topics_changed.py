"""Topics that an operator deletes, or gives partitions, under a running worker: it ends with a sentence that says what to do."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions

from streams.messages.events import Decision
from tests.made.records import transaction
from tests.run.deployment import Deployment, champion
from tests.run.emptied import emptied
from tests.run.topics import delete


@pytest.fixture
def deployment(shared: Deployment, tmp_path: Path) -> Iterator[Deployment]:
    with emptied(shared, tmp_path / "home") as deployment:
        champion(deployment.config)
        yield deployment


def said_by(deployment: Deployment) -> str:
    (log,) = deployment.home.glob("worker-*.log")
    return log.read_text()


def ended_by(deployment: Deployment, worker: "subprocess.Popen[bytes]") -> str:
    """What a worker says whose records show it that something is wrong; it must end by itself, as what only an operator can fix."""
    deployment.send([transaction(100 + number, f"u{number}") for number in range(50)])
    assert worker.wait(90) == 2, said_by(deployment)
    said = said_by(deployment)
    assert "Traceback" not in said
    return said


@pytest.mark.slow
@pytest.mark.parametrize("topic", ["decisions", "scoring-log", "state.users", "state.merchants"])
def test_a_topic_that_is_gone_is_named(deployment: Deployment, topic: str) -> None:
    with deployment.running("worker") as worker:
        deployment.send([transaction(number, f"u{number}") for number in range(50)])
        deployment.settle()
        delete(deployment.config, topic)
        said = ended_by(deployment, worker)
    assert f"topic {topic} is missing on {deployment.config.kafka}; create it with `tidemark up`" in said
    again = deployment.tidemark("up")
    assert again.returncode == 0, again.stderr
    deployment.work_until_idle()
    decided = {decision.transaction_id for decision in deployment.messages("decisions", Decision)}
    assert {f"t{100 + number}" for number in range(50)} <= decided


@pytest.mark.slow
@pytest.mark.parametrize(("topic", "states"), [("transactions", "state.users"), ("transactions.by-merchant", "state.merchants")])
def test_partitions_that_were_added_are_refused(deployment: Deployment, topic: str, states: str) -> None:
    with deployment.running("worker") as worker:
        deployment.send([transaction(number, f"u{number}") for number in range(50)])
        deployment.settle()
        admin = AdminClient({"bootstrap.servers": deployment.config.kafka})
        admin.create_partitions([NewPartitions(topic, 6)])[topic].result(10)
        said = ended_by(deployment, worker)
    assert f"{topic} has 6 partitions, but {states} 4: partitions were added" in said
