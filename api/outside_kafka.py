"""A Kafka that somebody else runs, asked as our clients will speak to it: with the deployment's TLS and SASL."""

from api.settings import kafka_security
from features.errors import UserError
from infra.local import services
from infra.local.errors import ServiceError


def answers(address: str, timeout: float) -> bool:
    """Whether the Kafka at ``address`` answers within ``timeout`` seconds. Raises ServiceError if our security may be why not."""
    from streams.kafka.admin import connect  # commands that need no Kafka don't wait for librdkafka
    from streams.kafka.client import KafkaClients

    security = kafka_security(services.home_from_environment())
    try:
        connect(KafkaClients(address, security), timeout)
    except UserError as error:
        if security:
            raise ServiceError(str(error)) from error
        return False
    return True


ASKING = {"kafka": answers}
