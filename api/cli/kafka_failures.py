"""What a command says when Kafka fails under it."""

from collections.abc import Iterator
from contextlib import contextmanager

from features.errors import UserError
from streams.kafka.client import KafkaException


@contextmanager
def kafka_failures_in_words(servers: str, then: str = "try again") -> Iterator[None]:
    """Raises UserError, which says what to do ``then``, if Kafka at these servers fails within the block."""
    try:
        yield
    except KafkaException as error:
        raise UserError(f"Kafka at {servers} failed ({error.args[0].str()}); see `tidemark doctor`, then {then}") from error
