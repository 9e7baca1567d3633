"""What a stage may rely on in a delivery, at least once as well as exactly once: one list of laws for both, on a real broker."""

import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streams.delivery.kafka_delivery import AtLeastOnce, Delivery, ExactlyOnce
from streams.delivery.kafka_states import StateRecord
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.kafka.producer import DeliveryError, Membership, StageProducer
from streams.messages.topics import Topic
from tests.made.seal import SEAL
from tests.run.deployment import eventually

KINDS = {"at least once": AtLeastOnce, "exactly once": ExactlyOnce}


@dataclass
class Stage:
    """A stage's member of its group, the topics around it, and the positions it has committed, in transactions or by itself."""

    kafka: str
    source: Topic
    states: Topic
    out: str
    member: Consumer
    log: KafkaLog
    uncommitted: KafkaLog
    delivery: Delivery

    def membership(self, former: bool = False) -> Membership:
        written = self.member.consumer_group_metadata()
        generation = struct.unpack("=i", written[7:11])[0]
        name, member_id = written[11:].split(b"\0")[:2]
        return Membership(name.decode(), generation - former, member_id.decode())

    def deliver(self, values: list[bytes], positions: dict[int, int], states: list[StateRecord] | None = None) -> None:
        """One turn, and what the stage's process does after it: it commits the positions it is handed."""

        def send(producer: StageProducer) -> None:
            for value in values:
                producer.send(self.out, value)

        self._commit(self.delivery.deliver(send, positions, states or []))

    def rest(self, states: list[StateRecord] | None = None) -> None:
        """A turn without records: whatever is under way is settled, and states are saved."""
        self._commit(self.delivery.save(states or []))

    def sent(self) -> list[bytes]:
        return [record.value or b"" for record in self._all(self.out)]

    def saved(self) -> dict[bytes, bytes]:
        self._wait_for_markers(self.states.name)
        return self.log.newest(self.states.name, 0, SEAL)

    def committed(self, partition: int = 0) -> int | None:
        return self.log.committed(self.source.name, partition)

    def _commit(self, positions: object) -> None:
        if positions:
            assert isinstance(positions, dict)
            offsets = [TopicPartition(self.source.name, partition, position) for partition, position in positions.items()]
            self.member.commit(offsets=offsets, asynchronous=False)

    def _all(self, topic: str) -> list:  # type: ignore[type-arg]
        self._wait_for_markers(topic)
        return [record for records in self.log.read(topic, 0, *self.log.bounds(topic, 0)) for record in records]

    def _wait_for_markers(self, topic: str) -> None:
        """A commit returns before its markers are on every partition; until then readers of committed records wait."""
        eventually(lambda: self.log.bounds(topic, 0)[1] == self.uncommitted.bounds(topic, 0)[1], 30, "the end of all transactions")


@pytest.fixture(params=KINDS)
def stage(request: pytest.FixtureRequest, kafka_bootstrap: str) -> Iterator[Stage]:
    name = uuid.uuid4().hex
    source = Topic(f"source-{name}", "user_id", "", None, 3_600_000)
    states = Topic(f"states-{name}", "user_id", "", None, None)
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    names = {source.name: 2, states.name: 1, f"out-{name}": 1}
    for done in admin.create_topics([NewTopic(topic, partitions) for topic, partitions in names.items()]).values():
        done.result(10)
    member = Consumer({"bootstrap.servers": kafka_bootstrap, "group.id": name, "enable.auto.commit": False})
    member.subscribe([source.name])

    def joined() -> bool:
        member.poll(0.1)
        return len(member.assignment()) == 2

    eventually(joined, 30, "the member's assignment")
    log, uncommitted = (KafkaLog(KafkaClients(kafka_bootstrap), name, committed_only=only) for only in (True, False))
    delivery = KINDS[request.param](KafkaClients(kafka_bootstrap), name, source, states, SEAL)
    found = Stage(kafka_bootstrap, source, states, f"out-{name}", member, log, uncommitted, delivery)
    delivery.open({0: 0, 1: 0}, found.membership())
    yield found
    delivery.close()
    member.close()
    log.close()
    uncommitted.close()
    for done in admin.delete_topics(list(names)).values():
        done.result(10)


def test_what_is_delivered_can_be_read_in_its_order_once_the_stage_rests(stage: Stage) -> None:
    for turn in range(3):
        stage.deliver([b"%d" % (turn * 2), b"%d" % (turn * 2 + 1)], {0: turn + 1})
    stage.rest()
    assert stage.sent() == [b"%d" % i for i in range(6)]
    assert stage.committed() == 3


def test_positions_move_partition_by_partition(stage: Stage) -> None:
    stage.deliver([b"a"], {0: 5})
    stage.deliver([b"b"], {1: 7})
    stage.rest()
    assert (stage.committed(0), stage.committed(1)) == (5, 7)
    stage.deliver([b"c"], {0: 6})
    stage.rest()
    assert (stage.committed(0), stage.committed(1)) == (6, 7)


def test_no_position_is_ahead_of_what_can_be_read(stage: Stage) -> None:
    for turn in range(20):
        stage.deliver([b"%d" % turn], {0: turn + 1})
        committed = stage.committed()
        assert len(stage.sent()) >= (committed or 0)
    stage.rest()
    assert len(stage.sent()) == stage.committed() == 20


def test_a_turn_without_anything_changes_nothing(stage: Stage) -> None:
    stage.rest()
    stage.deliver([b"a"], {0: 1})
    stage.rest()
    stage.rest()
    assert (stage.sent(), stage.committed(), stage.saved()) == ([b"a"], 1, {})


def test_a_turn_that_says_nothing_moves_its_position(stage: Stage) -> None:
    stage.deliver([], {0: 9})
    stage.rest()
    assert (stage.sent(), stage.committed()) == ([], 9)


def test_states_are_saved_with_a_position_that_covers_them_and_what_was_said_before(stage: Stage) -> None:
    stage.deliver([b"a"], {0: 1})
    stage.deliver([b"b"], {0: 2}, [StateRecord(0, b"u1", b"of two"), StateRecord(0, b"u2", b"of two")])
    # At once: nobody may find them beside an older position.
    assert stage.saved() == {b"u1": b"of two", b"u2": b"of two"}
    assert stage.committed() == 2
    assert stage.sent() == [b"a", b"b"]
    stage.rest([StateRecord(0, b"u2", None)])
    assert stage.saved() == {b"u1": b"of two"}
    assert stage.committed() == 2


def test_a_new_generation_goes_on_from_the_positions_it_is_given(stage: Stage) -> None:
    stage.deliver([b"a"], {0: 1, 1: 1})
    stage.rest()
    stage.delivery.open({0: 1}, stage.membership())
    stage.deliver([b"b"], {0: 2})
    stage.rest([StateRecord(0, b"u1", b"of two")])
    assert (stage.sent(), stage.saved(), stage.committed(0), stage.committed(1)) == ([b"a", b"b"], {b"u1": b"of two"}, 2, 1)


def test_a_member_of_a_former_generation_saves_no_states(stage: Stage) -> None:
    stage.deliver([b"a"], {0: 1}, [StateRecord(0, b"u1", b"the owner's")])
    stage.delivery.open({0: 0, 1: 0}, stage.membership(former=True))
    with pytest.raises((KafkaException, DeliveryError)):
        stage.rest([StateRecord(0, b"u1", b"a former owner's")])
    stage.delivery.close()
    assert stage.saved() == {b"u1": b"the owner's"}
    assert stage.committed() == 1


@pytest.mark.parametrize("stage", ["exactly once"], indirect=True)
def test_exactly_once_nothing_is_read_of_a_turn_that_failed(stage: Stage) -> None:
    stage.deliver([b"a"], {0: 1})

    def fails(producer: StageProducer) -> None:
        producer.send(stage.out, b"half")
        raise RuntimeError("in the middle of a turn")

    with pytest.raises(RuntimeError):
        stage.delivery.deliver(fails, {0: 2}, [])
    stage.delivery.close()
    assert (stage.sent(), stage.committed()) == ([b"a"], 1)
