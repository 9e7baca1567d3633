"""States recovered from a real broker: from what was saved and the log, or a loud refusal where these can't give them."""

import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from features.errors import UserError
from streams.delivery.kafka_states import PartitionStates, StateRecord
from streams.ingest import ingest, reapply
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.kafka.producer import Membership
from streams.messages.record import LogRecord
from streams.messages.topics import Topic
from streams.state.users import IngestState
from tests.made.records import ingest_state, transaction
from tests.made.saved_states import contents
from tests.made.seal import SEAL
from tests.run.deployment import eventually

RECORDS = [transaction(number, f"u{number % 3}", f"m{number % 2}") for number in range(10)]


@dataclass
class Partition:
    """One partition of a source with ten records, and of its state topic."""

    kafka: str
    source: Topic
    states: Topic
    log: KafkaLog

    def worker(self, *, repeatable: bool = False) -> PartitionStates[IngestState]:
        return PartitionStates(
            self.log,
            self.source,
            self.states,
            lambda _: ingest_state(),
            lambda _, state, read: reapply(state, read),
            SEAL,
            repeatable=repeatable,
        )

    def open(self, worker: PartitionStates[IngestState], generation: int = 1) -> int:
        return worker.open([0], Membership("group", generation, "member"))[0]

    def write(self, records: Sequence[StateRecord]) -> None:
        producer = Producer({"bootstrap.servers": self.kafka})
        for record in records:
            seal = SEAL.header(self.states.name, record.partition, record.key, record.value)
            producer.produce(self.states.name, record.value, record.key, record.partition, headers=[seal])
        assert producer.flush(10) == 0

    def commit(self, offset: int) -> None:
        self.log.commit(self.source.name, {0: offset})

    def create_again(self, count: int) -> None:
        """The topic is created again, with so many records."""
        admin = AdminClient({"bootstrap.servers": self.kafka})
        admin.delete_topics([self.source.name])[self.source.name].result(10)
        eventually(lambda: self.source.name not in admin.list_topics(timeout=10).topics, 30, "the topic's end")
        admin.create_topics([NewTopic(self.source.name, 1)])[self.source.name].result(10)
        self.fill(count)

    def fill(self, count: int) -> None:
        producer = Producer({"bootstrap.servers": self.kafka})
        for record in RECORDS[:count]:
            producer.produce(self.source.name, record.value, record.key)
        assert producer.flush(10) == 0

    def trim(self, offset: int) -> None:
        part = TopicPartition(self.source.name, 0, offset)
        admin = AdminClient({"bootstrap.servers": self.kafka})
        admin.delete_records([part])[part].result(10)

    def save(self, upto: int) -> None:
        """A worker processes so many records, saves everything and ends."""
        worker = self.worker()
        begin = self.open(worker)
        ingest([(worker[0], self.read(begin, upto))], Counter())
        worker.advance({0: upto})
        for records in worker.rest():
            self.write(records)
        self.commit(upto)

    def read(self, begin: int, end: int) -> list[LogRecord]:
        return [record for records in self.log.read(self.source.name, 0, begin, end) for record in records]

    def unhurt(self, upto: int) -> IngestState:
        state = ingest_state()
        ingest([(state, self.read(0, upto))], Counter())
        return state


@pytest.fixture
def partition(kafka_bootstrap: str) -> Iterator[Partition]:
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    name = uuid.uuid4().hex
    source = Topic(f"source-{name}", "user_id", "", None, 3_600_000)
    states = Topic(f"states-{name}", "user_id", "", None, None)
    made = [NewTopic(topic.name, 1, config=topic.settings()) for topic in (source, states)]
    for done in admin.create_topics(made).values():
        done.result(10)
    log = KafkaLog(KafkaClients(kafka_bootstrap), f"group-{name}")
    filled = Partition(kafka_bootstrap, source, states, log)
    filled.fill(len(RECORDS))
    yield filled
    filled.log.close()
    for done in admin.delete_topics([source.name, states.name]).values():
        done.result(10)


def test_without_anything_saved_the_whole_log_gives_the_state(partition: Partition) -> None:
    worker = partition.worker()
    assert partition.open(worker) == 0
    assert [records[-1].key for records in worker.unknown()]
    partition.commit(6)
    again = partition.worker()
    assert partition.open(again) == 6
    assert contents(again[0]) == contents(partition.unhurt(6))


def test_what_was_saved_and_what_came_later_give_the_state_though_the_log_has_lost_its_beginning(partition: Partition) -> None:
    partition.save(4)
    expected = contents(partition.unhurt(9))
    partition.commit(9)
    partition.trim(4)
    worker = partition.worker()
    assert partition.open(worker) == 9
    assert contents(worker[0]) == expected
    assert worker[0].ahead == {}
    # All is saved but what came later, and the rest of it takes one round.
    assert not list(worker.unknown())
    assert sum(1 for _ in worker.rest()) == 1


def test_a_state_is_kept_from_one_generation_to_the_next_if_nobody_else_can_have_had_it(partition: Partition) -> None:
    worker = partition.worker()
    partition.open(worker, generation=1)
    partition.commit(0)
    kept = worker[0]
    assert partition.open(worker, generation=2) == 0
    assert worker[0] is kept
    partition.open(worker, generation=4)
    assert worker[0] is not kept
    kept = worker[0]
    partition.commit(3)
    assert partition.open(worker, generation=5) == 3
    assert worker[0] is not kept


def test_lost_positions_are_no_loss_for_who_may_repeat_and_refused_to_who_may_not(partition: Partition) -> None:
    partition.save(4)
    partition.log.close()
    partition.log = KafkaLog(KafkaClients(partition.kafka), f"group-{uuid.uuid4().hex}")
    assert partition.open(partition.worker(repeatable=True)) == 4
    with pytest.raises(
        UserError, match=r"has no offset for source.*was saved at 4; set it to where the stage was with `tidemark offsets restore`"
    ):
        partition.open(partition.worker())


def test_positions_turned_back_are_refused(partition: Partition) -> None:
    partition.save(4)
    partition.commit(2)
    with pytest.raises(UserError, match=r"was saved at offset 4 .* stands at 2, which is before; set it .* `tidemark offsets restore`"):
        partition.open(partition.worker())


def test_who_has_lost_its_position_repeats_nothing_that_a_key_was_saved_with(partition: Partition) -> None:
    """A round takes its keys as they stand by then: some have seen records beyond the position that counts as saved."""
    worker = partition.worker()
    partition.open(worker)
    ingest([(worker[0], partition.read(0, 4))], Counter())
    worker.advance({0: 4})
    saver = worker._savers[0]
    partition.write([StateRecord(0, *record) for record in saver.chunk(4, 1)])
    ingest([(worker[0], partition.read(4, 8))], Counter())
    while saver.in_round:
        partition.write([StateRecord(0, *record) for record in saver.chunk(8, 1)])
    assert saver.saved == 4
    again = partition.worker(repeatable=True)
    position = partition.open(again)
    assert position == 8
    ingest([(again[0], partition.read(position, 10))], Counter())
    assert contents(again[0]) == contents(partition.unhurt(10))


def test_a_log_that_ends_before_what_was_saved_is_refused(partition: Partition) -> None:
    worker = partition.worker()
    partition.open(worker)
    worker.advance({0: 12})
    for records in worker.rest():
        partition.write(records)
    # Whether the group's position is known or was forgotten.
    with pytest.raises(UserError, match=r"source.*\[0\] ends at offset 10, but states.*\[0\] stands at 12: the topic .* has lost its end"):
        partition.open(partition.worker(repeatable=True))
    partition.commit(12)
    with pytest.raises(UserError, match=r"source.*\[0\] ends at offset 10, but group .* stands at 12: the topic .* has lost its end"):
        partition.open(partition.worker())


def test_a_broker_that_reports_less_for_a_moment_is_waited_for(partition: Partition) -> None:
    partition.save(4)
    partition.commit(12)
    filling = threading.Timer(3, partition.fill, [2])
    filling.start()
    assert partition.open(partition.worker()) == 12
    filling.join()


@pytest.mark.parametrize("count", [2, 10])
def test_a_topic_that_was_created_again_is_refused_however_long_it_is(partition: Partition, count: int) -> None:
    """Kafka forgets a topic's positions with the topic: what was saved knows."""
    partition.save(4)
    partition.create_again(count)
    with pytest.raises(UserError, match=r"states.*\[0\] was saved of another topic source.*created again"):
        partition.open(partition.worker(repeatable=True))


def test_states_that_are_gone_are_refused_if_the_log_can_not_give_them(partition: Partition) -> None:
    partition.commit(6)
    partition.trim(2)
    with pytest.raises(UserError, match=r"holds no states, and source.* begins at offset 2.*restore .* from a copy"):
        partition.open(partition.worker())


def test_a_log_that_has_lost_what_is_not_saved_is_refused(partition: Partition) -> None:
    partition.save(4)
    partition.commit(8)
    partition.trim(6)
    with pytest.raises(UserError, match=r"can't be read from offset 4 .*raise retention.ms"):
        partition.open(partition.worker())


def test_a_record_given_up_is_refused_by_every_later_owner(partition: Partition) -> None:
    worker = partition.worker()
    partition.open(worker)
    partition.write([worker.fail(0, (0, 5))])
    for records in worker.unknown():
        partition.write(records)
    worker.undo([0])
    assert worker[0].failed == {(0, 5)}
    partition.commit(10)
    later = partition.worker()
    partition.open(later)
    counts: Counter[str] = Counter()
    expected = ingest_state()
    expected.failed = {(0, 5)}
    ingest([(expected, partition.read(0, 10))], counts)
    assert counts["refused.processing_failed"] == 1
    assert contents(later[0]) == contents(expected)
