"""Who may run an aligned replay when: alone in INGEST's group, after what came before it, and one at a time."""

import asyncio
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
from aiokafka.structs import TopicPartition
from confluent_kafka import Consumer
from msgspec import structs

from features.errors import UserError
from streams.config import INGEST, DeploymentConfig
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.messages.headers import END_HEADER, Headers, headers_of
from streams.messages.partitioner import partition_of
from streams.replay.aligned import kafka_marks
from streams.replay.aligned.kafka_marks import sent_before
from streams.replay.aligned.kafka_merge import AlignedIngest
from streams.stages.kafka_ingest import IngestWorker
from tests.made.records import transaction
from tests.run.deployment import Deployment
from tests.run.emptied import emptied

USERS = ("u0", "u11")


@pytest.fixture(scope="module")
def deployment(shared: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with emptied(shared, tmp_path_factory.mktemp("marks") / "home", partitions=2) as deployment:
        assert [partition_of(user.encode(), 2) for user in USERS] == [0, 1]
        yield deployment


@pytest.fixture
def config(deployment: Deployment) -> DeploymentConfig:
    """An application of its own, whose INGEST has read everything so far."""
    config = msgspec.structs.replace(deployment.config, application=uuid.uuid4().hex)
    read_all(config)
    return config


def read_all(config: DeploymentConfig) -> None:
    log = KafkaLog(KafkaClients.of(config), config.group(INGEST))
    try:
        log.commit("transactions", {number: log.bounds("transactions", number)[1] for number in (0, 1)})
    finally:
        log.close()


def send(deployment: Deployment, partition: int, headers: Headers | None = None) -> None:
    record = transaction(0, USERS[partition])
    deployment.send([structs.replace(record, headers=headers or [])])


class End:
    key = value = None

    def __init__(self, partition: int, headers: Headers) -> None:
        self.partition, self.headers = partition, [*headers, END_HEADER]


def test_a_replay_goes_on_where_it_was_left_and_is_over_once(deployment: Deployment, config: DeploymentConfig) -> None:
    one, other = uuid.uuid4().hex, uuid.uuid4().hex
    assert sent_before(config, one) == {0: -1, 1: -1}
    for partition, seq in ((0, 0), (1, 1), (0, 2)):
        send(deployment, partition, headers_of(one, seq))
    # However much that is no part of it came in behind.
    deployment.send([transaction(number, USERS[1]) for number in range(300)])
    assert sent_before(config, one) == {0: 2, 1: 1}
    with pytest.raises(UserError, match=r"another aligned replay .* was begun on transactions and not finished"):
        sent_before(config, other)
    deployment.send([End(partition, headers_of(one, 3)) for partition in (0, 1)])
    assert sent_before(config, one) == {0: 3, 1: 3}
    read_all(config)
    assert sent_before(config, other) == {0: -1, 1: -1}


def test_what_waits_unread_has_no_place_in_a_replay(deployment: Deployment, config: DeploymentConfig) -> None:
    send(deployment, 1)
    with pytest.raises(UserError, match="partition 1 that INGEST has not read"):
        sent_before(config, uuid.uuid4().hex)


@contextmanager
def member(config: DeploymentConfig) -> Iterator[None]:
    """Another INGEST: a member of its group, that goes on polling."""
    consumer = Consumer(
        {
            "bootstrap.servers": config.kafka,
            "group.id": config.group(INGEST),
            "partition.assignment.strategy": "roundrobin",
            "session.timeout.ms": 6_000,
            "heartbeat.interval.ms": 500,
        }
    )
    consumer.subscribe(["transactions"])
    joined, over = threading.Event(), threading.Event()

    def poll() -> None:
        while not over.is_set():
            consumer.poll(0.1)
            if consumer.assignment():
                joined.set()

    polling = threading.Thread(target=poll)
    polling.start()
    try:
        assert joined.wait(60)
        yield
    finally:
        over.set()
        polling.join()
        consumer.close()


def test_another_ingest_is_in_the_way(config: DeploymentConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_marks, "_SESSION_OVER_S", 0.0)
    with member(config):
        with pytest.raises(UserError, match=r"INGEST runs already .* --stages labels,score"):
            sent_before(config, "replay")

        async def run() -> None:
            await AlignedIngest(config, "replay").run()

        with pytest.raises(UserError, match=r"another INGEST shares group .* needs all of them"):
            asyncio.run(run())


def test_a_plain_ingest_leaves_an_unfinished_aligned_replay_alone(config: DeploymentConfig) -> None:
    worker = IngestWorker(config)
    try:
        record = transaction(7)
        for read in (
            [structs.replace(record, headers=headers_of("replay", 0))],
            [record, structs.replace(record, headers=headers_of("replay", 3))],
        ):
            with pytest.raises(UserError, match=r"transactions\[1\] has an aligned replay at offset 7 that was not finished"):
                worker.process({1: read})
    finally:
        worker.end()


class Beginnings:
    """A consumer's answer to where a partition begins."""

    def __init__(self, begin: int) -> None:
        self._begin = begin

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, self._begin)


@pytest.mark.parametrize(
    ("found", "begin", "sentence"),
    [
        (40, 0, None),
        # The marker of a transaction lies between.
        (42, 0, None),
        (42, 40, None),
        (0, 0, "transactions[0] ends at offset 0, but group .* stands at 40: the topic was created again, or has lost its end"),
        (42, 41, "transactions[0] begins at offset 41, but group .* has only processed what lies before 40"),
    ],
)
def test_what_an_aligned_ingest_reads_follows_what_it_read(config: DeploymentConfig, found: int, begin: int, sentence: str | None) -> None:
    async def run() -> None:
        ingest = AlignedIngest.__new__(AlignedIngest)
        ingest._config, ingest._consumer = config, Beginnings(begin)
        await ingest._require_next(TopicPartition("transactions", 0), found, 40)

    if sentence is None:
        asyncio.run(run())
        return
    with pytest.raises(UserError, match=sentence.replace("[0]", r"\[0\]")):
        asyncio.run(run())
