"""An independent consumer: ``python -m tests.benchmarks.load.arrivals`` notes when each committed decision arrives.

A process of its own and a light one: while decisions come it keeps their bytes and the time, and reads them only afterwards. It takes a
``Watch`` as JSON, prints a line once it is at the end of the topic, and a ``Arrived`` as JSON when all have come or none came for too long.
"""

import time

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from streams.kafka.client import Consumer, KafkaClients, KafkaException, TopicPartition
from streams.messages.topics import DECISIONS
from streams.workers.handover import receive
from tests.benchmarks.load.child import READY

_AT_ONCE = 10_000


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """How many decisions to wait for, and the Parquet file to put them in: transaction_id, decided_at (ms), the source's partition and
    offset, arrived_at (float64 ms), in order of arrival. None for ``patience_s``: no more will come."""

    kafka: str
    count: int
    file: str
    patience_s: float = 20.0


class Arrived(msgspec.Struct, frozen=True, kw_only=True):
    """How many came, and the CPU seconds that taking them in took."""

    count: int
    cpu_s: float


class _Source(msgspec.Struct):
    partition: int
    offset: int


class _Decision(msgspec.Struct):
    transaction_id: str
    decided_at: int
    source: _Source


def watch(asked: Watch) -> Arrived:
    """Waits for the decisions that come from now on."""
    consumer = KafkaClients(asked.kafka).consumer(
        {
            "group.id": "tidemark-bench-arrivals",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 500,
            "fetch.min.bytes": 1,
        }
    )
    try:
        partitions = consumer.list_topics(DECISIONS.name, timeout=10).topics[DECISIONS.name].partitions
        ends = [(p, consumer.get_watermark_offsets(TopicPartition(DECISIONS.name, p), timeout=10)[1]) for p in partitions]
        consumer.assign([TopicPartition(DECISIONS.name, p, end) for p, end in ends])
        consumer.poll(0.5)  # connects
        print(READY, flush=True)
        cpu = time.process_time()
        arrived = _take_in(consumer, asked.count, asked.patience_s)
        cpu = time.process_time() - cpu
    finally:
        consumer.close()
    pq.write_table(_table(arrived), asked.file)
    return Arrived(count=sum(len(values) for _, values in arrived), cpu_s=round(cpu, 3))


def _take_in(consumer: Consumer, count: int, patience_s: float) -> list[tuple[float, list[bytes]]]:
    """(ms UTC, values) of what arrived together."""
    arrived: list[tuple[float, list[bytes]]] = []
    missing, last = count, time.monotonic()
    while missing > 0 and time.monotonic() - last < patience_s:
        first = consumer.poll(1.0)
        if first is None:
            continue
        # Everything else that is there already has arrived at the same moment.
        at = time.time() * 1000
        messages = [first, *consumer.consume(_AT_ONCE, timeout=0)]
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
        arrived.append((at, [message.value() or b"" for message in messages]))
        missing, last = missing - len(messages), time.monotonic()
    return arrived


def _table(arrived: list[tuple[float, list[bytes]]]) -> pa.Table:
    decode = msgspec.json.Decoder(_Decision).decode
    decisions = [decode(value) for _, values in arrived for value in values]
    return pa.table(
        {
            "transaction_id": pa.array([decision.transaction_id for decision in decisions], pa.string()),
            "decided_at": pa.array([decision.decided_at for decision in decisions], pa.int64()),
            "partition": pa.array([decision.source.partition for decision in decisions], pa.int64()),
            "offset": pa.array([decision.source.offset for decision in decisions], pa.int64()),
            "arrived_at": pa.array([at for at, values in arrived for _ in values], pa.float64()),
        }
    )


if __name__ == "__main__":
    print(msgspec.json.encode(watch(receive(Watch))).decode())
