"""What readers may rely on in a log: one list of laws, for the one in memory that tests use and for the real one on a broker."""

import uuid
from collections.abc import Iterator, Sequence
from typing import Protocol

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.messages.record import LogRecord
from tests.made.log_in_memory import LogInMemory
from tests.made.saved_states import Topic
from tests.made.seal import SEAL, sealed

SENT = [
    LogRecord(0, 1_000, b"u1", b"first", []),
    LogRecord(1, 1_001, b"u2", b"", [("type", b"label")]),
    LogRecord(2, 1_001, None, b"\xff\0", [("a", b"1"), ("a", b"2")]),
    LogRecord(3, 1_002, b"u1", None, []),
    LogRecord(4, 1_003, b"u3", b"third", []),
    LogRecord(5, 1_004, b"u2", b"second", []),
]


class Log(Protocol):
    def bounds(self, topic: str, partition: int) -> tuple[int, int]: ...

    def read(self, topic: str, partition: int, begin: int, end: int) -> Iterator[list[LogRecord]]: ...

    def newest(self, topic: str, partition: int) -> dict[bytes, bytes]: ...

    def has_records(self, topic: str, partition: int, begin: int) -> bool: ...


class World:
    """A topic of two partitions, and the log that reads it; ``append`` writes to partition 1."""

    def __init__(self, log: Log, topic: str, kafka: str | None = None) -> None:
        self.log, self.topic, self._kafka = log, topic, kafka

    def append(self, records: Sequence[LogRecord]) -> None:
        if isinstance(self.log, LogInMemory):
            self.log.append(self.topic, 1, records)
            return
        producer = Producer({"bootstrap.servers": self._kafka})
        for record in records:
            producer.produce(self.topic, record.value, record.key, 1, timestamp=record.timestamp, headers=list(record.headers))
        assert producer.flush(10) == 0

    def read(self, begin: int, end: int, partition: int = 1) -> list[LogRecord]:
        lists = list(self.log.read(self.topic, partition, begin, end))
        assert all(lists), "nobody is handed an empty list"
        return [record for records in lists for record in records]


@pytest.fixture(params=["in memory", "on a broker"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "in memory":
        yield World(LogInMemory({"topic": [[], []]}, at_once=2), "topic")
        return
    kafka: str = request.getfixturevalue("kafka_bootstrap")
    name = f"log-{uuid.uuid4().hex}"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(name, 2)])[name].result(10)
    log = KafkaLog(KafkaClients(kafka), name)
    yield World(log, name, kafka)
    log.close()
    admin.delete_topics([name])[name].result(10)


def test_of_an_empty_partition_there_is_nothing_to_read(world: World) -> None:
    world.append(SENT)
    assert world.log.bounds(world.topic, 0) == (0, 0)
    assert world.read(0, 10, partition=0) == []
    assert world.log.newest(world.topic, 0, SEAL) == {}
    assert not world.log.has_records(world.topic, 0, 0)


def test_records_are_read_as_they_were_sent_in_the_order_of_their_offsets(world: World) -> None:
    world.append(SENT)
    assert world.log.bounds(world.topic, 1) == (0, 6)
    assert world.read(0, 6) == SENT


def test_what_is_read_lies_from_begin_to_before_end(world: World) -> None:
    world.append(SENT)
    assert world.read(2, 4) == SENT[2:4]
    assert world.read(5, 6) == SENT[5:]
    assert world.read(3, 3) == []
    assert world.read(4, 2) == []
    assert world.read(0, 100) == SENT


@pytest.mark.parametrize("cut", range(7))
def test_two_parts_are_the_whole(world: World, cut: int) -> None:
    world.append(SENT)
    assert world.read(0, cut) + world.read(cut, 6) == SENT


def test_a_log_that_grows_keeps_what_it_had(world: World) -> None:
    world.append(SENT[:2])
    assert world.read(0, 100) == SENT[:2]
    world.append(SENT[2:])
    assert world.log.bounds(world.topic, 1) == (0, 6)
    assert world.read(0, 100) == SENT


def test_the_newest_of_each_key_is_its_last_value_unless_that_removed_it(world: World) -> None:
    keyed = [record for record in SENT if record.key is not None]
    world.append([sealed(world.topic, record, 1) for record in keyed])
    # What others write over it counts for nothing.
    world.append([LogRecord(6, 1_006, b"u2", b"foreign", []), LogRecord(7, 1_007, b"u3", None, [])])
    assert world.log.newest(world.topic, 1, SEAL) == {b"u2": b"second", b"u3": b"third"}
    # A state topic in memory, of the tests of saved states, keeps the same.
    topic = Topic()
    topic.write([(record.key or b"", record.value) for record in keyed])
    assert topic == world.log.newest(world.topic, 1, SEAL)


def test_there_are_records_up_to_the_last(world: World) -> None:
    world.append(SENT)
    assert [world.log.has_records(world.topic, 1, begin) for begin in (0, 5, 6)] == [True, True, False]
