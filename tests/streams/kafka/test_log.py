"""Where to go on from, as the group committed it, and a loud refusal where the log no longer has it."""

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator

import aiokafka
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import OffsetAndMetadata
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from features.errors import UserError
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.kafka.positions import signature, terminated_signature
from streams.messages.topics import TRANSACTIONS
from tests.run.deployment import ROOT
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


def commit_as_another_tool(kafka: str, group: str, topic: str, offset: int, text: str = "") -> None:
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": group})
    consumer.commit(offsets=[TopicPartition(topic, 0, offset, text)], asynchronous=False)
    consumer.close()


def trim(kafka: str, topic: str, offset: int) -> None:
    part = TopicPartition(topic, 0, offset)
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.delete_records([part])[part].result(10)


def test_a_group_goes_on_from_what_it_committed(kafka_bootstrap: str, topic: str, log: KafkaLog) -> None:
    assert log.positions(topic, [0]) == {0: 0}
    log.commit(topic, {0: 7})
    assert log.positions(topic, [0]) == {0: 7}
    assert [record.value for records in log.read(topic, 0, 7, 10) for record in records] == [b"7", b"8", b"9"]


READ = """
import sys
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog

servers, group, count = sys.argv[1:]
log = KafkaLog(KafkaClients(servers), group)
print(*(log.is_ours("transactions", number) for number in range(int(count))))
log.close()
"""


@pytest.mark.parametrize(("text", "ours"), [(terminated_signature(7), True), (signature(8), False), ("another's", False), ("\0", False)])
def test_what_aiokafka_committed_is_known_whatever_lies_in_memory(kafka_bootstrap: str, log: KafkaLog, text: str, ours: bool) -> None:
    parts = [
        aiokafka.TopicPartition(TRANSACTIONS.name, number)
        for number in range(partition_count(KafkaClients(kafka_bootstrap), TRANSACTIONS.name))
    ]

    async def commit() -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka_bootstrap, group_id=log.group)
        await consumer.start()
        try:
            consumer.assign(parts)
            await consumer.commit(dict.fromkeys(parts, OffsetAndMetadata(7, text)))
        finally:
            await consumer.stop()

    asyncio.run(commit())
    # What malloc hands out holds no zeros by chance then.
    environment = {**os.environ, "GLIBC_TUNABLES": "glibc.malloc.perturb=85:glibc.malloc.tcache_count=0"}
    command = [sys.executable, "-c", READ, kafka_bootstrap, log.group, str(len(parts))]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == [str(ours)] * len(parts)


def test_a_new_group_begins_with_what_is_kept(kafka_bootstrap: str, topic: str, log: KafkaLog) -> None:
    trim(kafka_bootstrap, topic, 4)
    assert log.positions(topic, [0]) == {0: 4}


def test_records_removed_unread_are_not_passed_over(kafka_bootstrap: str, topic: str, log: KafkaLog) -> None:
    log.commit(topic, {0: 3})
    trim(kafka_bootstrap, topic, 3)
    assert log.positions(topic, [0]) == {0: 3}
    trim(kafka_bootstrap, topic, 5)
    with pytest.raises(UserError, match=r"begins at offset 5.*before 3.*removed 2 offsets unread.*raise retention\.ms"):
        log.positions(topic, [0])


def test_a_position_beyond_the_end_is_not_waited_for_in_silence(kafka_bootstrap: str, topic: str, log: KafkaLog) -> None:
    log.commit(topic, {0: 10})
    assert log.positions(topic, [0]) == {0: 10}
    log.commit(topic, {0: 11})
    with pytest.raises(
        UserError, match=rf"{topic}\[0\] ends at offset 10, but group {log.group} stands at 11: .* restore .* or start over"
    ):
        log.positions(topic, [0])


@pytest.mark.parametrize("text", ["", "tidemark:6", "somebody's note"])
def test_a_position_that_another_tool_has_set_is_refused(kafka_bootstrap: str, topic: str, log: KafkaLog, text: str) -> None:
    log.commit(topic, {0: 6})
    assert log.is_ours(topic, 0)
    commit_as_another_tool(kafka_bootstrap, log.group, topic, 7, text)
    assert not log.is_ours(topic, 0)
    with pytest.raises(UserError, match=rf"group {log.group}'s offset 7 of {topic}\[0\] was not set by .* `tidemark offsets restore`"):
        log.positions(topic, [0])
