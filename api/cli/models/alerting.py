"""A deployment's Kafka, for commands about alerts."""

from collections.abc import Iterator
from contextlib import contextmanager

from api.answer_key import answer_key
from api.settings import Settings
from features.errors import UserError
from streams.kafka.client import KafkaClients, KafkaException
from streams.messages.seal import Seal


@contextmanager
def alerting(settings: Settings) -> Iterator[tuple[KafkaClients, Seal]]:
    """It, and the deployment's seal. Raises UserError if it isn't there, or fails meanwhile."""
    kafka, seal = settings.agreed_kafka(), Seal(answer_key(settings.home))
    try:
        yield kafka, seal
    except KafkaException as error:
        raise UserError(f"Kafka at {kafka.servers} failed ({error.args[0].str()}); see `tidemark doctor`, then try again") from error
