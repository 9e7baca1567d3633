"""Who may run an aligned replay when: alone in INGEST's group, after what came before it, and one at a time."""

import asyncio
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
from confluent_kafka import Consumer

from features.errors import UserError
from streams.config import INGEST, DeploymentConfig
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.messages.partitioner import partition_of
from streams.replay.aligned import kafka_marks
from streams.replay.aligned.kafka_marks import abandon, sent_before
from streams.replay.aligned.kafka_merge import AlignedIngest
from streams.stages.kafka_ingest import IngestWorker
from tests.made.records import transaction
from tests.made.seal import last_mark, marked
from tests.run import raw_records
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


def send(deployment: Deployment, partition: int, mark: tuple[str, int] | None = None) -> None:
    record = transaction(0, USERS[partition])
    deployment.send([record if mark is None else marked(record, *mark, partition)])


class End:
    key = value = None

    def __init__(self, partition: int, replay: str, seq: int) -> None:
        self.partition, self.headers = partition, last_mark(0, replay, seq, partition).headers


def test_a_replay_goes_on_where_it_was_left_and_is_over_once(deployment: Deployment, config: DeploymentConfig) -> None:
    one, other = uuid.uuid4().hex, uuid.uuid4().hex
    assert sent_before(config, one) == {0: -1, 1: -1}
    for partition, seq in ((0, 0), (1, 1), (0, 2)):
        send(deployment, partition, (one, seq))
    # However much that is no part of it came in behind.
    deployment.send([transaction(number, USERS[1]) for number in range(300)])
    assert sent_before(config, one) == {0: 2, 1: 1}
    with pytest.raises(UserError, match=r"another aligned replay .* was begun on transactions and not finished"):
        sent_before(config, other)
    deployment.send([End(partition, one, 3) for partition in (0, 1)])
    assert sent_before(config, one) == {0: 3, 1: 3}
    read_all(config)
    assert sent_before(config, other) == {0: -1, 1: -1}
    # Whoever copies a record of it, to its partition or another, neither begins it anew nor stops anybody.
    copy = marked(transaction(0, USERS[0]), one, 0, 0)
    deployment.send([copy])
    raw_records.send(
        deployment.config.kafka,
        "transactions",
        1,
        [(copy.key or b"", copy.value or b"", [(name.encode(), content) for name, content in copy.headers])],
    )
    assert sent_before(config, one) == {0: 3, 1: 3}
    worker = IngestWorker(config)
    log = KafkaLog(KafkaClients.of(config), "test")
    try:
        ends = {number: log.bounds("transactions", number)[1] for number in (0, 1)}
        copies = {number: next(log.read("transactions", number, end - 1, end)) for number, end in ends.items()}
        with pytest.raises(KeyError):  # past the check; no partition was opened
            worker.process(copies)
    finally:
        log.close()
        worker.end()
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
            [marked(record, "replay", 0, 1)],
            [record, marked(record, "replay", 3, 1)],
        ):
            with pytest.raises(UserError, match=r"records of the aligned replay replay from offset 7 on, which was not finished"):
                worker.process({1: read})
    finally:
        worker.end()


def test_one_that_nobody_will_finish_is_abandoned_and_taken_where_it_stands(deployment: Deployment, config: DeploymentConfig) -> None:
    """What only looks like a replay's is nobody's: neither in the way, nor to be abandoned."""
    name = uuid.uuid4().hex
    with pytest.raises(UserError, match="there is no unfinished aligned replay 'nobodys' on transactions; none is unfinished"):
        abandon(config, "nobodys")
    send(deployment, 0, (name, 0))
    send(deployment, 1, (name, 1))
    with pytest.raises(UserError, match=f"there is no unfinished aligned replay 'nobodys' on transactions; unfinished is {name}"):
        abandon(config, "nobodys")
    worker = IngestWorker(config)
    log = KafkaLog(KafkaClients.of(config), "test")
    try:
        begin = {number: log.bounds("transactions", number)[0] for number in (0, 1)}
        ends = {number: log.bounds("transactions", number)[1] for number in (0, 1)}
        records = {number: [r for read in log.read("transactions", number, begin[number], ends[number]) for r in read] for number in (0, 1)}
        first = records[0][-1:]
        with pytest.raises(UserError, match=f"tidemark replay --abandon {name}"):
            worker.process({0: first})
        assert abandon(config, name) == 2
        with pytest.raises(UserError, match="none is unfinished"):
            abandon(config, name)
        with pytest.raises(UserError, match="was abandoned"):
            sent_before(config, name)
    finally:
        log.close()
        worker.end()
    read_all(config)
    assert sent_before(config, uuid.uuid4().hex) == {0: -1, 1: -1}
