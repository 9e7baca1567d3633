"""An open load: ``python -m tests.benchmarks.load.generator`` sends transactions at a fixed rate, each when it is due, however late the
ones before.

A process of its own and a light one: everything is encoded beforehand, what is due is handed over every ms, and only failed
deliveries are reported back. It takes a ``Load`` as JSON, prints a ``Sent`` as JSON. ``generating`` and ``outcome`` are for who starts it.
"""

import subprocess
import sys
import time
from contextlib import AbstractContextManager

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.arrays import Float64
from features.errors import UserError
from streams.kafka.client import KafkaClients, KafkaError, Message
from streams.messages.partitioner import PRODUCER_SETTING
from streams.messages.topics import TRANSACTIONS
from streams.replay.encode import encode_transactions
from streams.replay.pacing import Rate, due_ms
from streams.workers.handover import receive
from tests.benchmarks.load.child import child, line

# librdkafka's own default, so what most producers of transactions have.
LINGER_MS = 5
_LEAD_S = 0.5
# Its linger gathers them; sleeping longer would only add to what is measured.
_SHORTEST_NAP_S = 0.001


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """``count`` transactions of a Parquet file (the canonical columns) from row ``first`` on, ``rate`` of them a second; the first is due
    at ``start_ms`` (UTC), or as soon as all are encoded if that is later."""

    kafka: str
    file: str
    first: int
    count: int
    rate: float
    start_ms: float = 0.0


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """``start_ms`` (UTC) is when the first was due. How late they were handed over (ms), and the CPU seconds that it took."""

    start_ms: float
    late_p99_ms: float
    late_max_ms: float
    cpu_s: float
    seconds: float
    failed: int


def generating(load: Load) -> AbstractContextManager["subprocess.Popen[bytes]"]:
    """The process, ended with the block."""
    return child("tests.benchmarks.load.generator", load)


def outcome(process: "subprocess.Popen[bytes]") -> Sent:
    """Waits until all is sent. Raises UserError if Kafka didn't take some of it."""
    sent = msgspec.json.decode(line(process), type=Sent)
    if sent.failed:
        raise UserError(f"{sent.failed:,} transactions were not taken by Kafka; see the broker's log and measure again")
    return sent


def due(load: Load) -> Float64:
    """When each transaction is due, in ms after the first."""
    found = due_ms(Rate("records", load.rate), np.zeros(load.count, np.int64))
    assert found is not None
    return found


def send(load: Load) -> Sent:
    """Sends all and waits until they are acknowledged."""
    rows = pq.read_table(load.file).slice(load.first, load.count)
    keys = rows["user_id"].cast(pa.binary()).to_pylist()
    values = list(encode_transactions(rows))
    failures: list[KafkaError] = []

    def report(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failures.append(error)

    producer = KafkaClients(load.kafka).producer(
        {
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": LINGER_MS,
            "delivery.report.only.error": True,
            "on_delivery": report,
            **PRODUCER_SETTING,
        }
    )
    producer.list_topics(TRANSACTIONS.name, timeout=10)
    times = due(load) / 1000
    start = max(load.start_ms / 1000, time.time() + _LEAD_S)
    sent_at = [b"%d" % moment for moment in ((start + times) * 1000).astype(np.int64).tolist()]
    handed_over = np.empty(load.count)
    cpu = time.process_time()
    time.sleep(max(0.0, start - time.time()))
    done = 0
    while done < load.count:
        elapsed = time.time() - start
        ready = int(np.searchsorted(times, elapsed, side="right"))
        for i in range(done, ready):
            producer.produce(TRANSACTIONS.name, values[i], keys[i], headers=[("sent_at", sent_at[i])])
        handed_over[done:ready] = elapsed
        done = ready
        producer.poll(0)
        if done < load.count:
            time.sleep(max(_SHORTEST_NAP_S, times[done] - (time.time() - start)))
    cpu = time.process_time() - cpu
    unsent = producer.flush(30)
    late = (handed_over - times) * 1000
    return Sent(
        start_ms=start * 1000,
        late_p99_ms=round(float(np.percentile(late, 99)), 2),
        late_max_ms=round(float(late.max()), 2),
        cpu_s=round(cpu, 3),
        seconds=round(float(times[-1]), 3),
        failed=unsent + len(failures),
    )


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(send(receive(Load))).decode())
