"""What a replay hands to its producer, when, and what it says when that goes wrong.

The producer is a fake; a real broker has its own test.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import KafkaError, KafkaException

from features.history.columns import CANONICAL
from streams.kafka import client
from streams.kafka.client import KafkaClients
from streams.messages.headers import LABEL, SENT_AT, SEQ
from streams.messages.readers import label_reader, transaction_reader
from streams.messages.topics import TRANSACTIONS
from streams.replay import kafka_replay as module
from streams.replay.kafka_replay import replay
from streams.replay.pacing import parse_rate
from streams.replay.plan import plan_replay
from tests.made.seal import SEAL

decode_transaction = transaction_reader()
decode_label = label_reader()

START, DAY = 1_522_584_000_000, 86_400_000


@dataclass
class FakeProducer:
    """Acknowledges at the next poll or flush what it was given, except the ``failing`` records; ``capacity`` bounds its queue."""

    failing: frozenset[int] = frozenset()
    refusing: frozenset[int] = frozenset()
    capacity: int = 10**6
    settings: dict[str, Any] = field(default_factory=dict)
    sent: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[tuple[int, Callable[[KafkaError | None, None], None]]] = field(default_factory=list)

    def produce(self, topic: str, value: bytes, key: bytes, headers: list[tuple[str, bytes]], on_delivery: Any) -> None:
        if len(self.waiting) >= self.capacity:
            raise BufferError("Local: Queue full")
        if len(self.sent) in self.refusing:
            raise KafkaException(KafkaError(KafkaError._FATAL))
        self.waiting.append((len(self.sent), on_delivery))
        self.sent.append({"topic": topic, "key": key, "value": value, "at": time.time() * 1000, **dict(headers)})

    def poll(self, timeout: float) -> int:
        for number, report in self.waiting:
            report(KafkaError(KafkaError._MSG_TIMED_OUT) if number in self.failing else None, None)
        served = len(self.waiting)
        self.waiting.clear()
        return served

    def flush(self, timeout: float) -> int:
        self.poll(timeout)
        return 0


@pytest.fixture
def producer(monkeypatch: pytest.MonkeyPatch) -> FakeProducer:
    fake = FakeProducer()

    def made(settings: dict[str, Any]) -> FakeProducer:
        fake.settings = settings
        return fake

    monkeypatch.setattr(client, "Producer", made)
    monkeypatch.setattr(module, "partition_count", lambda kafka, topic: 4)
    return fake


def history(rows: int) -> pa.Table:
    """One transaction a day; each third is a fraud, known a day and a half later."""
    frauds = [row % 3 == 0 for row in range(rows)]
    return pa.table(
        {
            "transaction_id": [str(row) for row in range(rows)],
            "event_time": [START + row * DAY for row in range(rows)],
            "user_id": [f"ü{row % 5}" for row in range(rows)],
            "merchant_id": ["m"] * rows,
            "amount": list(range(rows)),
            "currency": ["EUR"] * rows,
            **{name: pa.nulls(rows, pa.string()) for name in ("device_id", "country", "channel", "mcc")},
            "is_fraud": frauds,
            "label_time": [START + row * DAY + 3 * DAY // 2 if fraud else None for row, fraud in enumerate(frauds)],
        },
        schema=CANONICAL,
    )


def test_records_are_sent_in_order_with_their_place(producer: FakeProducer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 3)
    table = history(5)
    done = replay(table, plan_replay(table), KafkaClients("kafka:9092"), SEAL)
    names = [
        decode_label(r["value"]).transaction_id + "!" if LABEL in r else decode_transaction(r["value"]).transaction_id
        for r in producer.sent
    ]
    assert names == ["0", "1", "0!", "2", "3", "4", "3!"]
    assert [record[SEQ] for record in producer.sent] == [b"0", b"1", b"2", b"3", b"4", b"5", b"6"]
    assert [record["key"].decode() for record in producer.sent] == ["ü0", "ü1", "ü0", "ü2", "ü3", "ü4", "ü3"]
    assert [LABEL in record for record in producer.sent] == [False, False, True, False, False, False, True]
    assert {record["topic"] for record in producer.sent} == {TRANSACTIONS.name}
    assert all(SENT_AT not in record for record in producer.sent)
    assert (done.transactions, done.labels, done.failed, done.unsent, done.complete) == (5, 2, 0, 0, True)
    assert (done.first_event_time, done.last_event_time) == (START, START + 4 * DAY)


def test_the_producer_may_not_repeat_reorder_or_place_keys_elsewhere(producer: FakeProducer) -> None:
    replay(history(1), plan_replay(history(1)), KafkaClients("kafka:9092"), SEAL)
    assert producer.settings["enable.idempotence"] is True
    assert producer.settings["partitioner"] == "murmur2_random"
    assert producer.settings["bootstrap.servers"] == "kafka:9092"


def test_a_full_queue_is_waited_for(producer: FakeProducer) -> None:
    producer.capacity = 10
    table = history(100)
    assert replay(table, plan_replay(table), KafkaClients("kafka:9092"), SEAL).complete
    assert [record[SEQ] for record in producer.sent] == [b"%d" % seq for seq in range(len(plan_replay(table)))]


def test_records_are_due_at_even_intervals_and_carry_when(producer: FakeProducer) -> None:
    table = history(60)
    before = time.time() * 1000
    replay(table, plan_replay(table), KafkaClients("kafka:9092"), SEAL, parse_rate("200"))
    due = [int(record[SENT_AT]) for record in producer.sent]
    assert due[0] >= before
    assert [at - due[0] for at in due] == pytest.approx([5 * seq for seq in range(len(due))], abs=1)
    # Never before it is due (the header is cut to the ms), and where nothing holds the sender up, not long after.
    late = [record["at"] - int(record[SENT_AT]) for record in producer.sent]
    assert min(late) >= -1
    assert sorted(late)[len(late) // 2] < 20


def test_event_time_may_run_faster(producer: FakeProducer) -> None:
    table = history(4)
    done = replay(table, plan_replay(table), KafkaClients("kafka:9092"), SEAL, parse_rate(f"realtime×{DAY / 100:.0f}"))
    due = [int(record[SENT_AT]) for record in producer.sent]
    assert [at - due[0] for at in due] == pytest.approx([0, 100, 150, 200, 300, 450], abs=1)
    assert done.seconds >= 0.45


def test_a_late_sender_does_not_move_what_is_due(producer: FakeProducer) -> None:
    table = history(30)
    held_up: list[int] = []

    def hold_up_once(records: int) -> None:
        if not held_up:
            time.sleep(0.1)
        held_up.append(records)

    replay(table, plan_replay(table), KafkaClients("kafka:9092"), SEAL, parse_rate("200"), advance=hold_up_once)
    due = [int(record[SENT_AT]) for record in producer.sent]
    assert [at - due[0] for at in due] == pytest.approx([5 * seq for seq in range(len(due))], abs=1)
    assert producer.sent[10]["at"] - due[10] > 30
    assert max(held_up[1:3]) >= 10
    assert sum(held_up) == len(due)


def test_a_failed_delivery_ends_the_replay_and_is_counted(producer: FakeProducer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POLL_EVERY", 10)
    producer.failing = frozenset({12})
    table = history(100)
    done = replay(table, plan_replay(table), KafkaClients("kafka:9092"), SEAL)
    assert not done.complete
    assert done.failed == 1
    assert done.first_failure == KafkaError(KafkaError._MSG_TIMED_OUT).str()
    assert done.transactions + done.labels == 19
    assert done.unsent == len(plan_replay(table)) - 20


def test_a_producer_that_gives_up_is_a_failure(producer: FakeProducer) -> None:
    producer.refusing = frozenset({12})
    table = history(100)
    done = replay(table, plan_replay(table), KafkaClients("kafka:9092"), SEAL)
    assert (done.failed, done.transactions + done.labels, done.unsent) == (1, 12, len(plan_replay(table)) - 13)


def test_what_was_handed_over_before_a_stop_is_flushed(producer: FakeProducer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POLL_EVERY", 10)
    table = history(100)
    handed_over: list[int] = []
    done = replay(
        table, plan_replay(table), KafkaClients("kafka:9092"), SEAL, advance=handed_over.append, stopped=lambda: sum(handed_over) >= 30
    )
    assert (done.failed, done.transactions + done.labels, done.unsent) == (0, 30, len(plan_replay(table)) - 30)


def test_a_stop_does_not_wait_for_what_is_due_tomorrow(producer: FakeProducer) -> None:
    table = history(10)
    begin = time.monotonic()
    done = replay(
        table, plan_replay(table), KafkaClients("kafka:9092"), SEAL, parse_rate("realtime"), stopped=lambda: time.monotonic() > begin + 0.5
    )
    assert (done.transactions, done.unsent) == (1, len(plan_replay(table)) - 1)


def test_nothing_planned_is_nothing_sent(producer: FakeProducer) -> None:
    done = replay(history(3), plan_replay(history(3), end_ms=START), KafkaClients("kafka:9092"), SEAL, parse_rate("realtime"))
    assert (done.transactions, done.labels, done.first_event_time, done.complete) == (0, 0, None, True)
