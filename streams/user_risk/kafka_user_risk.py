"""The newest risks onto the topic ``user-risk``."""

from collections.abc import Callable, Iterable

import pyarrow as pa

from features.errors import UserError
from streams.kafka.client import KafkaClients, KafkaException
from streams.kafka.producer import DeliveryError, StageProducer
from streams.messages.events import UserRisk, encode
from streams.messages.topics import USER_RISK


def publish(batches: Iterable[pa.RecordBatch], kafka: KafkaClients, done: Callable[[int], None] = lambda _rows: None) -> int:
    """Sends USER_RISK rows, a record a user; returns how many, all of them acknowledged. To be sent again does no harm.

    Raises UserError if Kafka doesn't take them.
    """
    sent = 0
    producer = StageProducer(kafka)
    try:
        for batch in batches:
            risks = [UserRisk(**row) for row in batch.to_pylist()]
            producer.send_all(USER_RISK.name, [(risk.user_id.encode(), encode(risk)) for risk in risks])
            sent += len(risks)
            done(len(risks))
        producer.flush()
    except (DeliveryError, KafkaException) as error:
        raise UserError(
            f"Kafka at {kafka.servers} did not take the risks ({error}); check it with `tidemark doctor`, then run it again"
        ) from error
    finally:
        producer.close()
    return sent
