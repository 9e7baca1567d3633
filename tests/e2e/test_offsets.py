"""Offsets that an operator has moved, or Kafka has forgotten: refused in a sentence, restored by a command, nothing lost, nothing twice."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import count

import pytest
from confluent_kafka import OFFSET_END, TopicPartition
from confluent_kafka.admin import AdminClient
from msgspec import structs

from streams.config import INGEST, LABELS_COPY, PROFILES, SCORE
from streams.kafka.client import KafkaClients
from streams.kafka.groups import Groups
from streams.kafka.log import KafkaLog
from streams.messages.dead_letters import letter_in
from streams.messages.events import Decision
from streams.messages.partitioner import partition_of
from streams.messages.record import LogRecord
from streams.messages.refusals import RefusedError
from streams.messages.validation import Validator
from tests.made.records import label, transaction
from tests.made.seal import SEAL
from tests.run.deployment import Deployment, champion, eventually
from tests.run.emptied import emptied
from tests.run.topics import move_offset

NUMBER = count()
USERS, MERCHANTS, PARTITIONS = 11, 5, 4
TOPICS = {LABELS_COPY: "labels", INGEST: "transactions", SCORE: "transactions.by-merchant", PROFILES: "users"}


@pytest.fixture(scope="module")
def deployment(shared: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with emptied(shared, tmp_path_factory.mktemp("offsets") / "home") as deployment:
        champion(deployment.config)
        yield deployment


def some(n: int) -> list[LogRecord]:
    made = [next(NUMBER) for _ in range(n)]
    return [transaction(i, f"u{i % USERS}", f"m{i % MERCHANTS}", 1_700_000_000_000 + i * 60_000, amount=100 + i) for i in made]


def everything_once(deployment: Deployment) -> None:
    """Each record of transactions has one decision or one dead letter, but for labels and what was sent again."""
    decided = Counter((found.source.partition, found.source.offset) for found in deployment.messages("decisions", Decision))
    letters = Counter(
        (found.partition, found.offset)
        for record in deployment.read("dead-letters")
        if (found := letter_in(record, SEAL)) is not None and found.topic == "transactions"
    )
    sent = {(record.partition, record.offset) for record in deployment.read("transactions") if not record.headers}
    assert decided + letters == Counter(sent)


def log_of(deployment: Deployment, stage: str) -> KafkaLog:
    return KafkaLog(KafkaClients.of(deployment.config), deployment.config.group(stage))


def committed(deployment: Deployment, stage: str) -> dict[int, int | None]:
    log = log_of(deployment, stage)
    try:
        return {number: log.committed(TOPICS[stage], number) for number in range(PARTITIONS)}
    finally:
        log.close()


def restore(deployment: Deployment) -> str:
    done = deployment.tidemark("offsets", "restore")
    assert done.returncode == 0, done.stderr
    shown = deployment.tidemark("offsets", "show")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "another tool" not in shown.stdout
    return done.stdout


def test_an_offset_moved_on_by_one_is_refused_and_restored(deployment: Deployment) -> None:
    deployment.send(some(200))
    deployment.work_until_idle()
    assert deployment.tidemark("offsets", "show").returncode == 0
    assert "nothing is missing" in restore(deployment)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIDEMARK_ANSWER_KEY", "a key of another deployment, by which no state is ours")
        for arguments in (("offsets", "restore"), ("offsets", "show"), ("replay", "--abandon", "night")):
            unknown = deployment.tidemark(*arguments)
            assert (unknown.returncode, "has another key" in unknown.stderr) == (2, True), unknown.stderr
    # Nor is anything forgotten that nobody would write again.
    alone = deployment.tidemark("rebuild-online")
    assert (alone.returncode, "nobody would write tidemark-ingest" in alone.stderr) == (2, True), alone.stderr
    unread = some(50)
    deployment.send(unread)
    home = partition_of(unread[0].key or b"", PARTITIONS)
    move_offset(deployment.config, INGEST, home, 1)

    shown = deployment.tidemark("offsets", "show")
    assert shown.returncode == 1
    assert [line.split()[-2:] == ["another", "tool"] for line in shown.stdout.splitlines()].count(True) == 1

    refused = deployment.tidemark("worker", "--until-idle")
    assert refused.returncode != 0
    assert f"transactions[{home}] was not set by this version of Tidemark" in refused.stderr
    assert "`tidemark offsets restore`" in refused.stderr

    assert f"tidemark-ingest transactions[{home}]: " in restore(deployment)
    deployment.send(some(1_000))
    deployment.work_until_idle()
    everything_once(deployment)


@pytest.mark.slow
def test_scores_own_offsets_are_found_again_by_what_it_has_sent(deployment: Deployment) -> None:
    deployment.send(some(100))
    # What comes last on each partition leaves no decision.
    deployment.send([structs.replace(record, value=b"{") for record in some(USERS)])
    deployment.work_until_idle()
    before = committed(deployment, SCORE)
    # Somebody claims that what waits for SCORE was refused.
    deployment.send(some(30))
    ends = {number: sum(record.partition == number for record in deployment.read("transactions")) for number in range(PARTITIONS)}
    with deployment.running("worker", "--stages", "ingest"):
        eventually(lambda: committed(deployment, INGEST) == ends, 60, "INGEST's work")
    forged = [
        Validator("transactions", record.partition, PARTITIONS, "EUR").dead_letter(record, RefusedError("not_json", "x"))
        for record in deployment.read("transactions")
    ]
    deployment.send([LogRecord(0, 0, None, letter, []) for letter in forged], topic="dead-letters")
    for partition, by in enumerate((-3, -10_000, 1, 20)):
        move_offset(deployment.config, SCORE, partition, by)
    restore(deployment)
    assert committed(deployment, SCORE) == before
    deployment.send(some(100))
    deployment.work_until_idle()
    everything_once(deployment)


@pytest.mark.slow
def test_labels_may_be_read_again_and_count_once_and_what_kafka_has_forgotten_is_found(deployment: Deployment) -> None:
    paid = some(40)
    deployment.send(paid)
    deployment.work_until_idle()
    deployment.send([label(0, record, 1_700_900_000_000) for record in paid], topic="labels")
    deployment.work_until_idle()
    for partition in range(PARTITIONS):
        move_offset(deployment.config, LABELS_COPY, partition, -1)
        move_offset(deployment.config, INGEST, partition, -1)
    admin, group = AdminClient({"bootstrap.servers": deployment.config.kafka}), deployment.config.group(SCORE)
    eventually(lambda: admin.delete_consumer_groups([group])[group].exception(10) is None, 30, "the group's end")
    restore(deployment)
    deployment.send(some(100))
    deployment.work_until_idle()
    everything_once(deployment)
    passed = deployment.tidemark("audit", "--all", "--dry-run")
    assert passed.returncode == 0, passed.stdout + passed.stderr


@pytest.mark.slow
def test_rows_that_ingest_has_passed_over_end_score_and_are_sent_again(deployment: Deployment) -> None:
    """As after version 0.2.0 with an offset moved on: INGEST has counted a record that it has not sent on."""
    unread = some(50)
    deployment.send(unread)
    home = partition_of(unread[0].key or b"", PARTITIONS)
    # The last worker has ended by now.
    log = log_of(deployment, INGEST)
    log.commit("transactions", {home: (log.committed("transactions", home) or 0) + 1})
    log.close()
    with deployment.running("worker"):
        deployment.send(some(100))
        groups = Groups(KafkaClients.of(deployment.config))
        eventually(lambda: groups.members(deployment.config.group(SCORE)) > 0, 60, "SCORE's start")
        refused = deployment.tidemark("offsets", "restore")

        def ended() -> bool:
            return any("sent again with `tidemark offsets restore`" in file.read_text() for file in deployment.home.glob("worker-*.log"))

        eventually(ended, 90, "SCORE's end")
    assert refused.returncode == 2
    assert "stop all workers first" in refused.stderr
    found = deployment.tidemark("audit", "--all", "--dry-run")
    assert found.returncode == 1, found.stdout + found.stderr
    assert re.search(r"transactions.* at \d+: undecided, it is valid and INGEST has passed it", found.stdout)

    # It has been in the states for long.
    assert f"transactions[{home}]: the rows of offsets" in restore(deployment)
    deployment.send(some(100))
    deployment.work_until_idle()
    everything_once(deployment)
    passed = deployment.tidemark("audit", "--all", "--dry-run")
    assert passed.returncode == 0, passed.stdout + passed.stderr


@pytest.mark.slow
def test_what_retention_has_removed_unread_is_not_passed_over(deployment: Deployment) -> None:
    """The last of the module: from here on only starting over helps."""
    deployment.send(some(100))
    before = committed(deployment, INGEST)
    for partition in range(PARTITIONS):
        move_offset(deployment.config, INGEST, partition, 1)
    admin = AdminClient({"bootstrap.servers": deployment.config.kafka})
    for removed in admin.delete_records([TopicPartition("transactions", number, OFFSET_END) for number in range(PARTITIONS)]).values():
        removed.result(30)
    refused = deployment.tidemark("offsets", "restore")
    assert refused.returncode == 2, refused.stdout
    assert re.search(
        rf"transactions\[0\] begins at offset \d+, but stage ingest has only processed what lies before {before[0]}", refused.stderr
    )
    shown = deployment.tidemark("offsets", "show").stdout.splitlines()
    assert shown[0].split()[:5] == ["group", "partition", "begin", "offset", "end"]
    (line,) = (line.split() for line in shown if "transactions[0]" in line)
    assert int(line[2]) == int(line[4]) > int(line[3])
