"""The watchdog ends who stands still before records, and names the open transaction that holds others back. On a real broker."""

import logging
import threading
import uuid
from collections.abc import Iterator
from itertools import count

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from streams.config import DeploymentConfig
from streams.kafka.open_transactions import open_transactions, transactional_ids
from streams.kafka.watchdog import Watchdog
from streams.messages.topics import Topic
from tests.run.deployment import Deployment, eventually
from tests.run.filled_topic import filled_topic
from tests.run.topics import open_transaction

GROUP = "nobodys"


@pytest.fixture
def topic(kafka_bootstrap: str) -> Iterator[Topic]:
    """A topic of one partition with ten records."""
    with filled_topic(kafka_bootstrap) as name:
        yield Topic(name, "none", "for a test", None, None)


@pytest.fixture
def open_producer(kafka_bootstrap: str, topic: Topic) -> Iterator[Producer]:
    """A producer that has begun a transaction on the topic."""
    producer = open_transaction(kafka_bootstrap, topic.name, topic.name, 0)
    yield producer
    producer.abort_transaction(10)


def watch(config: DeploymentConfig, topic: Topic, position: int, ended: threading.Event) -> Watchdog:
    return Watchdog(config, topic, GROUP, lambda: {0: position}, ended.set, patience=1.5, held_back=0.5, look_every=0.2)


def test_who_stands_still_before_records_is_ended(shared: Deployment, topic: Topic) -> None:
    ended = threading.Event()
    watchdog = watch(shared.config, topic, 4, ended)
    assert not ended.wait(0.7)
    assert ended.wait(20)
    watchdog.close()


def test_who_has_read_everything_is_left_alone(shared: Deployment, topic: Topic) -> None:
    ended = threading.Event()
    watchdog = watch(shared.config, topic, 10, ended)
    assert not ended.wait(4)
    watchdog.close()


def test_one_that_measures_tells_how_far_the_log_goes(shared: Deployment, topic: Topic) -> None:
    ended = threading.Event()
    watchdog = Watchdog(shared.config, topic, GROUP, lambda: {0: 4}, ended.set, look_every=0.05, measure=True)
    try:
        eventually(lambda: watchdog.ends() == {0: (4, 10)}, what="a look")
    finally:
        watchdog.close()


def test_who_stands_beyond_the_end_is_ended(shared: Deployment, topic: Topic, caplog: pytest.LogCaptureFixture) -> None:
    ended = threading.Event()
    watchdog = watch(shared.config, topic, 11, ended)
    assert ended.wait(20)
    watchdog.close()
    assert f"{topic.name}[0] ends at 10, before the stage's position 11; the stage ends" in caplog.text


def test_who_reads_a_topic_that_is_gone_is_ended(shared: Deployment, caplog: pytest.LogCaptureFixture) -> None:
    ended = threading.Event()
    gone = Topic("no-such-topic", "none", "for a test", None, None)
    # Its partitions are nobody's any more.
    watchdog = Watchdog(shared.config, gone, GROUP, dict, ended.set, held_back=0.5, look_every=0.2)
    assert ended.wait(20)
    watchdog.close()
    assert "topic no-such-topic is gone; the stage ends" in caplog.text


def test_who_reads_a_topic_that_is_deleted_is_ended(kafka_bootstrap: str, shared: Deployment, caplog: pytest.LogCaptureFixture) -> None:
    admin, name = AdminClient({"bootstrap.servers": kafka_bootstrap}), f"deleted-{uuid.uuid4().hex}"
    admin.create_topics([NewTopic(name, 1)])[name].result(10)
    ended = threading.Event()
    watchdog = Watchdog(
        shared.config, Topic(name, "none", "for a test", None, None), GROUP, lambda: {0: 0}, ended.set, held_back=0.5, look_every=0.2
    )
    assert not ended.wait(2)
    admin.delete_topics([name])[name].result(10)
    assert ended.wait(30)
    watchdog.close()
    assert f"topic {name} is gone; the stage ends" in caplog.text


def test_who_reads_a_topic_that_was_created_again_is_ended(shared: Deployment, topic: Topic, caplog: pytest.LogCaptureFixture) -> None:
    ended = threading.Event()
    # It reads on, for the new one is longer by now.
    positions = count()
    watchdog = Watchdog(shared.config, topic, GROUP, lambda: {0: next(positions)}, ended.set, held_back=0.5, look_every=0.2)
    assert not ended.wait(2)
    admin = AdminClient({"bootstrap.servers": shared.config.kafka})
    admin.delete_topics([topic.name])[topic.name].result(10)
    eventually(lambda: topic.name not in admin.list_topics(timeout=10).topics, 30, "the topic's end")
    admin.create_topics([NewTopic(topic.name, 1)])[topic.name].result(10)
    assert ended.wait(20)
    watchdog.close()
    assert f"topic {topic.name}" in caplog.text


def test_an_open_transaction_is_told_with_its_producer_and_the_mend(
    shared: Deployment, topic: Topic, open_producer: Producer, caplog: pytest.LogCaptureFixture
) -> None:
    ended = threading.Event()
    with caplog.at_level(logging.WARNING, "streams.kafka.watchdog"):
        watchdog = watch(shared.config, topic, 10, ended)
        eventually(lambda: bool(caplog.records), 20, "the warning")
        watchdog.close()
    host, _, port = shared.config.kafka.partition(":")
    (found,) = open_transactions((host, int(port)), topic.name, 0)
    (message, *_) = caplog.messages
    assert (
        f"can't be read beyond offset 10, an open transaction holds it back: producer {found.producer_id} began it at offset 10" in message
    )
    assert "`tidemark transactions list`" in message
    assert not ended.is_set()


def test_only_open_transactions_are_listed(kafka_bootstrap: str, topic: Topic, open_producer: Producer) -> None:
    host, _, port = kafka_bootstrap.partition(":")
    (found,) = open_transactions((host, int(port)), topic.name, 0)
    assert found.start_offset == 10
    assert transactional_ids((host, int(port)))[found.producer_id] == topic.name
    open_producer.commit_transaction(10)
    # Its marker is written a moment later.
    eventually(lambda: open_transactions((host, int(port)), topic.name, 0) == [], 10, "the end of the transaction")
    with pytest.raises(OSError, match="refused to describe the producers of no-such-topic"):
        open_transactions((host, int(port)), "no-such-topic", 0)
    open_producer.begin_transaction()


def test_a_member_of_the_group_that_is_nobodys_worker_is_told(shared: Deployment, topic: Topic, caplog: pytest.LogCaptureFixture) -> None:
    group = f"group-{uuid.uuid4().hex}"
    stranger = Consumer({"bootstrap.servers": shared.config.kafka, "group.id": group, "client.id": "curious"})
    stranger.subscribe([topic.name])
    eventually(lambda: stranger.poll(0.1) is None and bool(stranger.assignment()), 30, "the stranger's partitions")
    with caplog.at_level(logging.WARNING, "streams.kafka.watchdog"):
        watchdog = Watchdog(shared.config, topic, group, lambda: {0: 10}, threading.Event().set, look_every=0.2)
        eventually(lambda: "no Tidemark workers" in caplog.text, 20, "the sentence")
        watchdog.close()
    stranger.close()
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"group {group} has members that are no Tidemark workers ('curious' at 127.0.0.1): nobody processes")
