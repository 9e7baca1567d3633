"""A deployment's facts as they stand with its topics, on ``deployment``: read before anything is done, written by `tidemark up`."""

import logging

from features.errors import UserError
from streams.config import DeploymentConfig
from streams.kafka.admin import partition_counts
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.kafka.producer import StageProducer
from streams.messages import facts
from streams.messages.facts import SettledFacts
from streams.messages.topics import DEPLOYMENT

logger = logging.getLogger(__name__)

# It holds some records of a hundred bytes.
_AHEAD_KB = 1_024


def settled(kafka: KafkaClients) -> SettledFacts | None:
    """The facts on record, None if there are none that can be read. Raises UserError if Kafka can't be reached."""
    if DEPLOYMENT.name not in partition_counts(kafka):
        return None
    log = KafkaLog(kafka, f"{kafka.client_id}-facts", ahead_kb=_AHEAD_KB)
    try:
        found = facts.newest(record for read in log.read(DEPLOYMENT.name, 0, *log.bounds(DEPLOYMENT.name, 0)) for record in read)
    finally:
        log.close()
    for offset in found.unreadable:
        logger.warning("%s[0] offset %d says nothing about currency and feature set; it is left out", DEPLOYMENT.name, offset)
    return found.facts


def settle(kafka: KafkaClients, wanted: SettledFacts) -> None:
    """Puts the facts on record. Raises UserError if somebody else has put others there meanwhile."""
    producer = StageProducer(kafka)
    try:
        producer.send(DEPLOYMENT.name, facts.encode(wanted), facts.KEY, 0)
        producer.flush()
    finally:
        producer.close()
    found = settled(kafka)
    if found != wanted:
        raise UserError(f"somebody else has settled {found} for Kafka at {kafka.servers} at the same time; run `tidemark up` again")


def require(kafka: KafkaClients, currency: str, features: str | None) -> None:
    """Raises UserError unless the facts on record are these; ``features`` None: whichever feature set is on record."""
    refused = facts.refusal(settled(kafka), currency, features, kafka.servers)
    if refused is not None:
        raise UserError(refused)


def require_of(config: DeploymentConfig) -> None:
    """Raises UserError unless the facts on record are those of the configuration."""
    require(KafkaClients.of(config), config.currency, config.features)
