"""Records read for a stage, from a real broker: from where it is asked, in order, committed ones only, each once."""

import re
import time
import uuid
from collections.abc import Iterator, Mapping

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from features.errors import UserError
from streams.kafka import out_of_range
from streams.kafka.client import KafkaClients
from streams.kafka.reader import Fetching, PartitionReader
from streams.messages.record import LogRecord
from tests.run.deployment import eventually

FETCHING = Fetching(wait_s=0.05, most=100, worthwhile=1)


@pytest.fixture
def topic(kafka_bootstrap: str) -> Iterator[str]:
    """A topic of two partitions."""
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    name = f"read-{uuid.uuid4().hex}"
    admin.create_topics([NewTopic(name, 2)])[name].result(10)
    yield name
    admin.delete_topics([name])[name].result(10)


@pytest.fixture
def reader(kafka_bootstrap: str, topic: str) -> Iterator[PartitionReader]:
    opened = PartitionReader(KafkaClients(kafka_bootstrap), "nobody's", topic, FETCHING)
    yield opened
    opened.close()


def write(kafka: str, topic: str, values: Mapping[int, list[bytes]]) -> None:
    producer = Producer({"bootstrap.servers": kafka})
    for partition, these in values.items():
        for value in these:
            producer.produce(topic, value, b"key", partition, headers=[("a", b"1")])
    assert producer.flush(10) == 0


def at_once() -> None:
    """Waits for nothing more."""


def read(reader: PartitionReader, positions: dict[int, int], count: int) -> dict[int, list[LogRecord]]:
    """So many records, as a stage reads them: on from what came."""
    found: dict[int, list[LogRecord]] = {partition: [] for partition in positions}
    deadline = time.monotonic() + 30
    while sum(map(len, found.values())) < count:
        assert time.monotonic() < deadline
        for partition, records in reader.read(positions, 0.2, at_once).items():
            found[partition] += records
            positions[partition] = records[-1].offset + 1
    return found


def test_partitions_are_read_on_from_where_each_stands(kafka_bootstrap: str, topic: str, reader: PartitionReader) -> None:
    values = {partition: [b"%d" % i for i in range(300)] for partition in (0, 1)}
    write(kafka_bootstrap, topic, values)
    found = read(reader, {0: 0, 1: 200}, 400)
    assert [record.offset for record in found[0]] == list(range(300))
    assert [record.value for record in found[1]] == values[1][200:]
    assert {(record.key, tuple(record.headers)) for record in found[0]} == {(b"key", (("a", b"1"),))}
    assert all(record.timestamp > 0 for record in found[0])
    assert reader.read({0: 300, 1: 300}, 0.1, at_once) == {}


def test_other_positions_are_gone_to(kafka_bootstrap: str, topic: str, reader: PartitionReader) -> None:
    write(kafka_bootstrap, topic, {0: [b"%d" % i for i in range(10)]})
    assert len(read(reader, {0: 0, 1: 0}, 10)[0]) == 10
    assert [record.offset for record in read(reader, {0: 4}, 6)[0]] == [4, 5, 6, 7, 8, 9]


def test_at_most_so_many_come_at_once_and_none_is_left_out(kafka_bootstrap: str, topic: str, reader: PartitionReader) -> None:
    write(kafka_bootstrap, topic, {0: [b""] * 250})
    positions, sizes, offsets = {0: 0}, [], []
    while sum(sizes) < 250:
        for records in reader.read(positions, 5, at_once).values():
            sizes.append(len(records))
            offsets += [record.offset for record in records]
            positions = {0: records[-1].offset + 1}
    assert max(sizes) <= FETCHING.most
    assert offsets == list(range(250))


def test_what_comes_while_it_gathers_is_taken_too(kafka_bootstrap: str, topic: str, reader: PartitionReader) -> None:
    write(kafka_bootstrap, topic, {0: [b"first"]})

    def gather() -> None:
        write(kafka_bootstrap, topic, {0: [b"second"], 1: [b"third"]})
        time.sleep(1)

    found = reader.read({0: 0, 1: 0}, 10, gather)
    assert {number: [record.value for record in records] for number, records in found.items()} == {0: [b"first", b"second"], 1: [b"third"]}


def test_what_is_not_committed_is_not_read(kafka_bootstrap: str, topic: str, reader: PartitionReader) -> None:
    producer = Producer({"bootstrap.servers": kafka_bootstrap, "transactional.id": topic})
    producer.init_transactions(10)
    for finish, value in ((producer.abort_transaction, b"aborted"), (producer.commit_transaction, b"committed")):
        producer.begin_transaction()
        producer.produce(topic, value, partition=0)
        finish(10)
    producer.begin_transaction()
    producer.produce(topic, b"open", partition=0)
    producer.flush(10)
    positions = {0: 0, 1: 0}
    assert [record.value for record in read(reader, positions, 1)[0]] == [b"committed"]
    assert reader.read(positions, 0.3, at_once) == {}
    producer.abort_transaction(10)


@pytest.mark.parametrize(("position", "sentence"), [(11, "ends at offset 10, but group nobody's stands at 11"), (3, "begins at offset 4")])
def test_what_the_log_does_not_have_is_never_passed_over(
    kafka_bootstrap: str, topic: str, reader: PartitionReader, position: int, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out_of_range, "PATIENCE_S", 0.0)
    write(kafka_bootstrap, topic, {0: [b"%d" % i for i in range(10)], 1: [b"%d" % i for i in range(10)]})
    part = TopicPartition(topic, 0, 4)
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    admin.delete_records([part])[part].result(10)

    def read_on() -> None:
        positions = {0: position, 1: 0}
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for partition, records in reader.read(positions, 0.2, at_once).items():
                positions[partition] = records[-1].offset + 1

    with pytest.raises(UserError, match=re.escape(f"{topic}[0] {sentence}")):
        read_on()


def test_a_topic_that_is_created_again_ends_who_reads_it(kafka_bootstrap: str, topic: str, reader: PartitionReader) -> None:
    write(kafka_bootstrap, topic, {0: [b"%d" % i for i in range(10)]})
    positions = {0: 0, 1: 0}
    assert len(read(reader, positions, 10)[0]) == 10
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    admin.delete_topics([topic])[topic].result(10)
    eventually(lambda: topic not in admin.list_topics(timeout=10).topics, 30, "the topic's end")
    admin.create_topics([NewTopic(topic, 2)])[topic].result(10)
    write(kafka_bootstrap, topic, {0: [b"new"]})

    def read_on() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert reader.read(positions, 0.2, at_once) == {}

    with pytest.raises(UserError, match=re.escape(f"{topic}[0] ends at offset 1, but group nobody's stands at 10")):
        read_on()
