"""A deployment's Kafka, for commands about alerts."""

from collections.abc import Iterator
from contextlib import contextmanager

from api.answer_key import answer_key
from api.cli.kafka_failures import kafka_failures_in_words
from api.settings import Settings
from streams.kafka.client import KafkaClients
from streams.messages.seal import Seal


@contextmanager
def alerting(settings: Settings) -> Iterator[tuple[KafkaClients, Seal]]:
    """It, and the deployment's seal. Raises UserError if it isn't there, or fails meanwhile."""
    kafka, seal = settings.agreed_kafka(), Seal(answer_key(settings.home))
    with kafka_failures_in_words(kafka.servers):
        yield kafka, seal
