"""A topic with something on it, for tests of what reads logs."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic


@contextmanager
def filled_topic(kafka: str) -> Iterator[str]:
    """The name of a topic of one partition with ten records: their numbers."""
    admin = AdminClient({"bootstrap.servers": kafka})
    name = f"filled-{uuid.uuid4().hex}"
    admin.create_topics([NewTopic(name, 1)])[name].result(10)
    producer = Producer({"bootstrap.servers": kafka})
    for number in range(10):
        producer.produce(name, b"%d" % number)
    assert producer.flush(10) == 0
    yield name
    admin.delete_topics([name])[name].result(10)
