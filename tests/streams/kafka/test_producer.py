"""A transaction's positions are committed by a member of the group in its present generation, or not at all."""

import struct
import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.kafka.producer import Membership, StageProducer
from streams.messages.topics import BY_MERCHANT, DEAD_LETTERS
from tests.run.deployment import Deployment, eventually

TOPIC = BY_MERCHANT.name


@pytest.fixture
def group() -> str:
    return f"fencing-{uuid.uuid4().hex}"


@pytest.fixture
def member(kafka_bootstrap: str, group: str) -> Iterator[Consumer]:
    """A consumer that has joined the group."""
    consumer = Consumer({"bootstrap.servers": kafka_bootstrap, "group.id": group, "auto.offset.reset": "latest"})
    consumer.subscribe([TOPIC])

    def joined() -> bool:
        consumer.poll(0.1)
        return bool(consumer.assignment())

    eventually(joined, 30, "the consumer's assignment")
    yield consumer
    consumer.close()


def membership_of(consumer: Consumer, group: str) -> Membership:
    """Read from the library's own bytes."""
    written = consumer.consumer_group_metadata()
    generation = struct.unpack("=i", written[7:11])[0]
    name, member_id = written[11:].split(b"\0")[:2]
    assert name.decode() == group
    return Membership(group, generation, member_id.decode())


def committed(kafka: str, group: str) -> int | None:
    log = KafkaLog(KafkaClients(kafka), group)
    try:
        return log.committed(TOPIC, 0)
    finally:
        log.close()


def test_a_membership_is_written_as_the_library_writes_it(member: Consumer, group: str) -> None:
    membership = membership_of(member, group)
    assert membership.generation > 0
    assert membership.member_id
    assert membership.to_bytes() == member.consumer_group_metadata()


def test_a_member_commits(kafka_bootstrap: str, member: Consumer, group: str) -> None:
    producer = StageProducer(KafkaClients(kafka_bootstrap), transactional_id=group)
    producer.fence()
    producer.begin()
    producer.add_positions(TOPIC, {0: 7}, membership_of(member, group))
    producer.commit()
    assert committed(kafka_bootstrap, group) == 7
    assert member.committed([TopicPartition(TOPIC, 0)], 10)[0].metadata == "tidemark:7"
    producer.close()


def test_one_of_a_former_generation_is_refused_with_all_it_said(shared: Deployment, member: Consumer, group: str) -> None:
    kafka = shared.config.kafka
    member.commit(offsets=[TopicPartition(TOPIC, 0, 3)], asynchronous=False)
    present = membership_of(member, group)
    stalled = Membership(group, present.generation - 1, present.member_id)
    producer = StageProducer(KafkaClients(kafka), transactional_id=group)
    producer.fence()
    producer.begin()
    producer.send(DEAD_LETTERS.name, group.encode())
    with pytest.raises(KafkaException):
        producer.add_positions(TOPIC, {0: 9}, stalled)
    # Its successor takes the id over, which ends what it left open.
    successor = StageProducer(KafkaClients(kafka), transactional_id=group)
    successor.fence()
    assert committed(kafka, group) == 3
    assert group.encode() not in [record.value for record in shared.read(DEAD_LETTERS.name)]
    producer.close()
    successor.close()
