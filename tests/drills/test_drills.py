"""Each way in which a deployment breaks: the doctor names it and what helps, and that, typed as it stands, leads to a clean audit.

A drill breaks a deployment that has decided, follows the doctor until it finds nothing that a command would mend, lets new transactions in,
and audits all there is.
"""

import json
import os
import re
import shlex
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic
from redis import Redis

from api import pending_reset
from api.pending_reset import PendingReset
from infra.local import kafka, processes, redis
from models.registry import mlflow_registry
from streams.config import INGEST, SCORE
from streams.messages.events import Decision
from streams.messages.partitioner import partition_of
from streams.messages.topics import TOPICS
from tests.made.records import transaction
from tests.made.seal import marked
from tests.run.deployment import Deployment, champion, deployed, eventually
from tests.run.topics import create_again, delete, move_offset, open_transaction

pytestmark = pytest.mark.slow

_COMMAND = re.compile(r"`tidemark ([^`]+)`")
_MOST_STEPS = 6


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    with deployed(tmp_path / "home", partitions=2) as deployment:
        champion(deployment.config)
        deployment.send([transaction(number, f"u{number % 7}") for number in range(60)])
        deployment.work_until_idle()
        assert deployment.tidemark("audit", "--all").returncode == 0
        yield deployment


def broken(deployment: Deployment) -> list[dict[str, str]]:
    done = deployment.tidemark("doctor", "--json")
    assert done.returncode in (0, 1), done.stderr
    return [finding for finding in json.loads(done.stdout) if not finding["ok"]]


def follow(deployment: Deployment) -> list[str]:
    """Types what the doctor says until nothing is left but that no worker runs; returns the commands."""
    typed: list[str] = []
    for _ in range(_MOST_STEPS):
        left = [finding for finding in broken(deployment) if finding["subject"] not in ("workers", "Java for Spark")]
        if not left:
            return typed
        commands = _COMMAND.findall(left[0]["fix"])
        assert commands, left[0]
        typed.append(commands[0])
        if commands[0] == "worker":
            deployment.work_until_idle()
            continue
        # A terminal would be asked.
        sure = ["--yes"] if commands[0].startswith("reset") else []
        done = deployment.tidemark(*shlex.split(commands[0]), *sure)
        assert done.returncode == 0, (commands[0], done.stderr)
    raise AssertionError(f"after {typed}: {broken(deployment)}")


def proven(deployment: Deployment) -> None:
    """New transactions are decided, and the audit finds everything in order."""
    deployment.send([transaction(number, f"u{number % 7}") for number in range(100, 140)])
    deployment.work_until_idle()
    audited = deployment.tidemark("audit", "--all", "--json", str(deployment.home / "audit.json"))
    assert audited.returncode == 0, audited.stdout + audited.stderr
    assert json.loads((deployment.home / "audit.json").read_text())["audited"] >= 40


def admin(deployment: Deployment) -> AdminClient:
    return AdminClient({"bootstrap.servers": deployment.config.kafka})


def an_offset_is_moved(deployment: Deployment) -> None:
    move_offset(deployment.config, INGEST, 0, 1)
    move_offset(deployment.config, SCORE, 1, -1)


def transactions_are_recreated(deployment: Deployment) -> None:
    delete(deployment.config, "transactions")
    client = admin(deployment)  # whose answers come only as long as it lives
    client.create_topics([NewTopic("transactions", 2, 1)])["transactions"].result(30)


def retention_removes_what_was_not_read(deployment: Deployment) -> None:
    deployment.send([transaction(number, f"u{number % 7}") for number in range(200, 260)])
    ends = {TopicPartition("transactions", number, -1) for number in range(2)}
    client = admin(deployment)
    for removed in client.delete_records(list(ends)).values():
        removed.result(30)


def partitions_are_added(deployment: Deployment) -> None:
    client = admin(deployment)
    client.create_partitions([NewPartitions("transactions", 4)])["transactions"].result(30)


def facts_are_lost(deployment: Deployment) -> None:
    create_again(deployment.config, "deployment")


def the_online_store_is_emptied(deployment: Deployment) -> None:
    with Redis.from_url(deployment.config.redis) as client:
        client.flushall()


def a_transaction_stays_open(deployment: Deployment) -> None:
    _open = open_transaction(deployment.config.kafka, "nightly", "transactions", 1)
    eventually(lambda: any(found["subject"] == "open transaction" for found in broken(deployment)), 60, "the open transaction")


def the_feast_repository_is_gone(deployment: Deployment) -> None:
    for file in sorted(Path(deployment.config.feast_repo).rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()


def redis_is_killed(deployment: Deployment) -> None:
    _kill(deployment, redis.NAME)


def kafka_is_killed(deployment: Deployment) -> None:
    _kill(deployment, kafka.NAME)


def the_key_is_lost(deployment: Deployment) -> None:
    (deployment.home / "answer.key").unlink()


def a_reset_is_broken_off(deployment: Deployment) -> None:
    """After the topics went, before anything else did."""
    pending_reset.begin(deployment.home, PendingReset("fraud_v1", "EUR", 2, "20260131T093000Z"))
    delete(deployment.config, *(topic.name for topic in TOPICS))


def dead_letters_are_gone(deployment: Deployment) -> None:
    delete(deployment.config, "dead-letters")


def an_aligned_replay_is_broken_off(deployment: Deployment) -> None:
    """Of which one partition has some records and the other none."""
    sent = [transaction(number, "u1") for number in range(300, 310)]
    number = partition_of(sent[0].key or b"", 2)
    deployment.send([marked(record, "nightly", seq, number) for seq, record in enumerate(sent)])


def _kill(deployment: Deployment, name: str) -> None:
    pid = processes.running_pid(processes.Slot(deployment.home, name))
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


RESET = "reset --keep-models"
DRILLS: list[tuple[Callable[[Deployment], None], list[str]]] = [
    (an_offset_is_moved, ["offsets restore"]),
    (transactions_are_recreated, ["up", RESET]),  # first the settings that a new topic lacks
    (retention_removes_what_was_not_read, [RESET]),
    (partitions_are_added, [RESET]),
    (facts_are_lost, ["up"]),
    (the_online_store_is_emptied, ["worker"]),
    (a_transaction_stays_open, ["transactions abort nightly"]),
    (the_feast_repository_is_gone, ["up"]),
    (redis_is_killed, ["up"]),
    (kafka_is_killed, ["up"]),
    (the_key_is_lost, [RESET]),
    (a_reset_is_broken_off, [RESET]),
    (dead_letters_are_gone, ["up"]),
    (an_aligned_replay_is_broken_off, ["replay --abandon nightly"]),
]


@pytest.mark.parametrize(("break_it", "commands"), DRILLS, ids=[drill.__name__ for drill, _ in DRILLS])
def test_what_the_doctor_says_leads_back_to_a_clean_audit(
    deployment: Deployment, break_it: Callable[[Deployment], None], commands: list[str]
) -> None:
    break_it(deployment)
    typed = follow(deployment)
    assert typed[: len(commands)] == commands
    proven(deployment)
    if RESET in commands:
        reset(deployment)


def reset(deployment: Deployment) -> None:
    """What a reset leaves: as many partitions, the models, the former key aside, nobody known in the online store but the new ones."""
    topics = admin(deployment).list_topics(timeout=10).topics
    assert len(topics["transactions"].partitions) in (2, 4)
    assert not (deployment.home / "reset.json").exists()
    assert mlflow_registry.champion_version(deployment.config.mlflow) == "1"
    assert {letter.transaction_id for letter in deployment.messages("decisions", Decision)} == {f"t{n}" for n in range(100, 140)}


@pytest.mark.parametrize(("topic", "found"), [("decisions", "missing decision"), ("scoring-log", "undecided")])
def test_what_a_deleted_topic_had_is_lost_and_on_record(deployment: Deployment, topic: str, found: str) -> None:
    """Nothing brings back what was on it; all else goes on, and the audit says what to type."""
    deployment.send([transaction(number, f"u{number % 7}") for number in range(60, 70)])
    deployment.work_until_idle()
    delete(deployment.config, topic)
    assert follow(deployment)[:1] == ["up"]
    audited = deployment.tidemark("audit", "--all")
    assert (audited.returncode, f"{found}: 10" in audited.stdout) == (1, True), audited.stdout
    assert "tidemark audit --all --accept REASON" in audited.stdout
    assert deployment.tidemark("audit", "--all", "--accept", f"{topic} was deleted").returncode == 1
    proven(deployment)


def test_nothing_is_found_in_one_that_is_whole(deployment: Deployment) -> None:
    assert follow(deployment) == []
    proven(deployment)
