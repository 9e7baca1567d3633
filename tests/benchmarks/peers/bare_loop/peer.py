"""Consume, parse, produce: no features, no state, no model. What any Python program on this client can't be faster than."""

import os
import signal

import msgspec
from confluent_kafka import Consumer, KafkaException, Producer

BOOTSTRAP, SOURCE, TARGET, GROUP = (os.environ[name] for name in ("BOOTSTRAP", "SOURCE", "TARGET", "GROUP"))


class Transaction(msgspec.Struct, gc=False):
    transaction_id: str
    user_id: str
    merchant_id: str
    event_time: int
    amount: int | None = None  # a label has none


class Seen(msgspec.Struct, gc=False):
    transaction_id: str
    amount: int


def main() -> None:
    over = False

    def end(*_: object) -> None:
        nonlocal over
        over = True

    signal.signal(signal.SIGTERM, end)
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": GROUP, "auto.offset.reset": "earliest"})
    producer = Producer(
        {
            "bootstrap.servers": BOOTSTRAP,
            "compression.type": "lz4",
            "linger.ms": 20,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    decode, encode = msgspec.json.Decoder(Transaction).decode, msgspec.json.Encoder().encode
    consumer.subscribe([SOURCE])
    while not over:
        for message in consumer.consume(5_000, timeout=0.1):
            if message.error():
                raise KafkaException(message.error())
            transaction = decode(message.value())
            if transaction.amount is not None:
                producer.produce(TARGET, encode(Seen(transaction.transaction_id, transaction.amount)), message.key())
        while len(producer) > 100_000:
            producer.poll(0.01)
        producer.poll(0)
    producer.flush()
    consumer.close()


main()
