"""Garbage between the transactions: records that must be refused, spread evenly over the topic while a replay fills it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import msgspec

from streams.config import DeploymentConfig
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.messages.partitioner import PRODUCER_SETTING
from streams.messages.topics import TRANSACTIONS

_SLICE = 500
_NAP_S = 0.002


@contextmanager
def mixed_in(config: DeploymentConfig, share: float, transactions: int) -> Iterator[int]:
    """Sends garbage during the block, so that it is the ``share`` of what lies on ``transactions`` at any time, and the rest at its end.

    Yields how many records that will be, each of which must become one dead letter, beside so many ``transactions``.
    """
    count = round(transactions * share / (1 - share))
    done = threading.Event()
    thread = threading.Thread(target=_send, args=(config, count, share, done), name="garbage", daemon=True)
    thread.start()
    try:
        yield count
    finally:
        done.set()
        thread.join()


def _send(config: DeploymentConfig, count: int, share: float, done: threading.Event) -> None:
    kafka = KafkaClients.of(config)
    producer = kafka.producer({"linger.ms": 5, **PRODUCER_SETTING})
    log = KafkaLog(kafka, "tidemark-bench")
    made = _records(Random(0))
    partitions = partition_count(kafka, TRANSACTIONS.name)
    sent = 0
    try:
        while sent < count:
            there = sum(log.bounds(TRANSACTIONS.name, partition)[1] for partition in range(partitions))
            wanted = count if done.is_set() else min(count, int(there * share))
            for _ in range(min(_SLICE, wanted - sent)):
                key, value = next(made)
                producer.produce(TRANSACTIONS.name, value, key)
                sent += 1
            producer.poll(0)
            if sent >= wanted:
                time.sleep(_NAP_S)
        producer.flush(60)
    finally:
        log.close()


def _records(random: Random) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values: no JSON, cut off, nested deeply, without a field, of another currency, under another user's key."""
    while True:
        number = random.randrange(10**9)
        user = f"g{number % 500}"
        fine = {"transaction_id": f"g{number}", "event_time": 1_600_000_000_000, "user_id": user, "merchant_id": "m", "amount": 1}
        whole = msgspec.json.encode(fine | {"currency": "EUR"})
        yield user.encode(), random.randbytes(120)
        yield user.encode(), whole[: random.randrange(1, len(whole))]
        yield user.encode(), b'{"x":' + b"[" * 1_000 + b"]" * 1_000 + b"}"
        yield user.encode(), msgspec.json.encode(fine)
        yield user.encode(), msgspec.json.encode(fine | {"currency": "USD"})
        yield b"another", whole
