"""Where to go on from, as the group committed it, and a loud refusal where the log no longer has it."""

import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from features.errors import UserError
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from tests.run.filled_topic import filled_topic


@pytest.fixture
def topic(kafka_bootstrap: str) -> Iterator[str]:
    """A topic of one partition with ten records."""
    with filled_topic(kafka_bootstrap) as name:
        yield name


@pytest.fixture
def log(kafka_bootstrap: str) -> Iterator[KafkaLog]:
    log = KafkaLog(KafkaClients(kafka_bootstrap), f"group-{uuid.uuid4().hex}")
    yield log
    log.close()


def commit(kafka: str, group: str, topic: str, offset: int) -> None:
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": group})
    consumer.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)
    consumer.close()


def trim(kafka: str, topic: str, offset: int) -> None:
    part = TopicPartition(topic, 0, offset)
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.delete_records([part])[part].result(10)


def test_a_group_goes_on_from_what_it_committed(kafka_bootstrap: str, topic: str, log: KafkaLog) -> None:
    assert log.positions(topic, [0]) == {0: 0}
    commit(kafka_bootstrap, log.group, topic, 7)
    assert log.positions(topic, [0]) == {0: 7}
    assert [record.value for records in log.read(topic, 0, 7, 10) for record in records] == [b"7", b"8", b"9"]


def test_a_new_group_begins_with_what_is_kept(kafka_bootstrap: str, topic: str, log: KafkaLog) -> None:
    trim(kafka_bootstrap, topic, 4)
    assert log.positions(topic, [0]) == {0: 4}


def test_records_removed_unread_are_not_passed_over(kafka_bootstrap: str, topic: str, log: KafkaLog) -> None:
    commit(kafka_bootstrap, log.group, topic, 3)
    trim(kafka_bootstrap, topic, 3)
    assert log.positions(topic, [0]) == {0: 3}
    trim(kafka_bootstrap, topic, 5)
    with pytest.raises(UserError, match=r"begins at offset 5.*before 3.*removed 2 offsets unread.*raise retention\.ms"):
        log.positions(topic, [0])
