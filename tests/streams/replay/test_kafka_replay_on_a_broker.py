"""A replay onto a real broker: every record once, each user's in order, on the partition where Java would put it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from features.arrays import RecordKind
from features.history.label_delay import with_label_times
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.messages.headers import LABEL, SENT_AT, SEQ
from streams.messages.partitioner import partition_of
from streams.messages.readers import label_reader, transaction_reader
from streams.messages.topics import TRANSACTIONS
from streams.replay.kafka_replay import replay
from streams.replay.pacing import parse_rate
from streams.replay.plan import plan_replay
from streams.simulate import SIMULATED, SimulationSpec, simulate
from tests.made.seal import ANSWER_KEY, SEAL

decode_transaction = transaction_reader()
decode_label = label_reader()

DAY = 86_400_000
SPEC = SimulationSpec(seed=5, users=300, merchants=600, start_ms=20_089 * DAY, days=12)
COMMAND = [sys.executable, "-c", "from api.cli import main; main()"]


class Tail:
    """What comes onto ``transactions`` from now on."""

    def __init__(self, servers: str) -> None:
        self.partitions = partition_count(KafkaClients(servers), TRANSACTIONS.name)
        self._consumer = Consumer({"bootstrap.servers": servers, "group.id": "tail", "enable.auto.commit": False})
        log = KafkaLog(KafkaClients(servers), "tail")
        ends = [log.bounds(TRANSACTIONS.name, number)[1] for number in range(self.partitions)]
        log.close()
        self._consumer.assign([TopicPartition(TRANSACTIONS.name, number, end) for number, end in enumerate(ends)])

    def read(self, records: int, timeout: float = 60) -> list[Message]:
        """So many records; fails if there are fewer, or more within half a second."""
        found: list[Message] = []
        deadline = time.monotonic() + timeout
        while len(found) < records:
            assert time.monotonic() < deadline, f"{len(found)} of {records} records came"
            found += self._consumer.consume(records, timeout=0.2)
        found += self._consumer.consume(1, timeout=0.5)
        assert len(found) == records
        return found

    def next(self, timeout: float) -> list[Message]:
        """Some records, as soon as one is there."""
        found = self._consumer.consume(1, timeout=timeout)
        assert found, "nothing came"
        return found

    def close(self) -> None:
        self._consumer.close()


@pytest.fixture
def tail(kafka_bootstrap: str) -> Iterator[Tail]:
    reader = Tail(kafka_bootstrap)
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def history() -> pa.Table:
    return with_label_times(simulate(SPEC), 3 * DAY)


def header(message: Message, name: str) -> bytes | None:
    value = dict(message.headers() or []).get(name)
    assert value is None or isinstance(value, bytes)
    return value


def test_every_record_arrives_once_in_order_and_where_it_belongs(kafka_bootstrap: str, tail: Tail, history: pa.Table) -> None:
    plan = plan_replay(history, SPEC.start_ms + 5 * DAY, SPEC.start_ms + 9 * DAY)
    done = replay(history, plan, KafkaClients(kafka_bootstrap), SEAL)
    assert (done.transactions, done.labels, done.failed, done.unsent) == (plan.transactions, plan.labels, 0, 0)
    assert plan.labels > 0
    messages = tail.read(len(plan))
    assert sorted(int(header(message, SEQ) or -1) for message in messages) == list(range(len(plan)))
    for partition in range(tail.partitions):
        place = [int(header(message, SEQ) or -1) for message in messages if message.partition() == partition]
        assert place == sorted(place)
    rows = history.take(plan.row).to_pylist()
    for message in messages:
        seq = int(header(message, SEQ) or -1)
        row = rows[seq]
        key, value = row["user_id"].encode(), message.value()
        assert message.key() == key
        assert message.partition() == partition_of(key, tail.partitions)
        if plan.kind[seq] == RecordKind.LABEL:
            assert header(message, LABEL) is not None
            label = decode_label(value or b"")
            assert (label.transaction_id, label.label_time, label.is_fraud) == (row["transaction_id"], row["label_time"], True)
        else:
            assert header(message, LABEL) is None
            transaction = decode_transaction(value or b"")
            assert all(getattr(transaction, name) == row[name] for name in transaction.__struct_fields__)


def test_a_paced_record_carries_when_it_was_due(kafka_bootstrap: str, tail: Tail, history: pa.Table) -> None:
    plan = plan_replay(history, SPEC.start_ms, SPEC.start_ms + DAY)
    begin = time.time() * 1000
    replay(history, plan, KafkaClients(kafka_bootstrap), SEAL, parse_rate("1000"))
    messages = sorted(tail.read(len(plan)), key=lambda message: int(header(message, SEQ) or -1))
    due = [int(header(message, SENT_AT) or -1) for message in messages]
    assert due[0] >= begin
    assert [at - due[0] for at in due] == pytest.approx(list(range(len(plan))), abs=1)


def run(kafka: str, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TIDEMARK_KAFKA": kafka, "TIDEMARK_HOME": str(home), "TIDEMARK_ANSWER_KEY": ANSWER_KEY}
    return subprocess.run([*COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_the_command_replays_a_file(kafka_bootstrap: str, tail: Tail, history: pa.Table, tmp_path: Path) -> None:
    pq.write_table(history.select(SIMULATED.names), tmp_path / "x.parquet")
    arguments = (
        "--columns",
        "tidemark",
        "--labels-after",
        "3d",
        "--from",
        "2025-01-06",
        "--to",
        "2025-01-10",
        "--json",
        str(tmp_path / "s.json"),
    )
    done = run(kafka_bootstrap, tmp_path, "replay", str(tmp_path / "x.parquet"), *arguments)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "s.json").read_text())
    plan = plan_replay(history, SPEC.start_ms + 5 * DAY, SPEC.start_ms + 9 * DAY)
    assert (summary["transactions"], summary["labels"], summary["failed"]) == (plan.transactions, plan.labels, 0)
    assert SPEC.start_ms + 5 * DAY <= summary["first_event_time"] < summary["last_event_time"] < SPEC.start_ms + 9 * DAY
    tail.read(len(plan))


def test_the_command_simulates_onto_the_topic(kafka_bootstrap: str, tail: Tail, tmp_path: Path) -> None:
    done = run(
        kafka_bootstrap, tmp_path, "simulate", "--topic", "--users", "200", "--merchants", "400", "--days", "3", "--labels-after", "1d"
    )
    assert (done.returncode, done.stderr) == (0, "")
    table = with_label_times(simulate(SimulationSpec(0, 200, 400, SPEC.start_ms, 3)), DAY)
    tail.read(len(plan_replay(table, end_ms=SPEC.start_ms + 3 * DAY)))


def test_what_lies_ahead_of_now_is_sent_with_a_warning(kafka_bootstrap: str, tail: Tail, tmp_path: Path) -> None:
    done = run(
        kafka_bootstrap, tmp_path, "simulate", "--topic", "--users", "20", "--merchants", "40", "--days", "1", "--from", "2100-01-01"
    )
    assert tail.next(timeout=60)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"warning: (\d+) of \1 transactions lie ahead of now, and workers refuse them\n", done.stderr)


def test_ctrl_c_flushes_what_was_handed_over_and_says_how_much(kafka_bootstrap: str, tail: Tail, tmp_path: Path) -> None:
    environment = {**os.environ, "TIDEMARK_KAFKA": kafka_bootstrap, "TIDEMARK_HOME": str(tmp_path), "TIDEMARK_ANSWER_KEY": ANSWER_KEY}
    summary = tmp_path / "s.json"
    arguments = ["simulate", "--topic", "--days", "5", "--rate", "200", "--json", str(summary)]
    process = subprocess.Popen([*COMMAND, *arguments], env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        first = tail.next(timeout=60)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, error
    sent = json.loads(summary.read_text())
    assert sent["unsent"] > 0
    assert f"interrupted: {sent['unsent']:,} records were not sent" in error
    tail.read(sent["transactions"] + sent["labels"] - len(first))
