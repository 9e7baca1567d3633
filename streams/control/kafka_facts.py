"""A deployment's facts as they stand with its topics, on ``deployment``: read before anything is done, written by `tidemark up`."""

import logging
from collections.abc import Iterator
from contextlib import closing
from itertools import chain

from features.errors import UserError
from streams.config import DeploymentConfig
from streams.kafka.admin import partition_counts
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.kafka.producer import StageProducer
from streams.messages import facts
from streams.messages.facts import SettledFacts
from streams.messages.record import LogRecord
from streams.messages.seal import Seal
from streams.messages.topics import BY_MERCHANT, DEPLOYMENT, SCORING_LOG, STATE_MERCHANTS, STATE_USERS, Topic

logger = logging.getLogger(__name__)

# It holds some records of a hundred bytes.
_AHEAD_KB = 1_024
# Of a topic of ours most records are ours, wherever one looks.
_LOOK = 1_000
_SEALED = (STATE_USERS, STATE_MERCHANTS, BY_MERCHANT, SCORING_LOG)


def settled(kafka: KafkaClients, seal: Seal) -> SettledFacts | None:
    """The facts on record, None if there are none that can be read, even if somebody has put others in their place. Raises UserError if
    Kafka can't be reached, or if neither they nor anything else there is sealed with the key that ``seal`` checks by."""
    if DEPLOYMENT.name not in partition_counts(kafka):
        return None
    with closing(KafkaLog(kafka, f"{kafka.client_id}-facts", ahead_kb=_AHEAD_KB)) as log:
        records = [record for read in log.whole(DEPLOYMENT.name, 0) for record in read]
    ours = [record for record in records if seal.is_ours(DEPLOYMENT.name, 0, record)]
    if not ours and any(facts.is_of_facts(record) for record in records) and not is_known(kafka, seal):
        raise UserError(
            f"the deployment on Kafka at {kafka.servers} has another key than this home: use the answer.key of the machine where its "
            "`tidemark up` was run (name a copy in TIDEMARK_ANSWER_KEY_FILE), or name another Kafka in TIDEMARK_KAFKA"
        )
    found = facts.newest(ours)
    for offset in found.unreadable:
        logger.warning("%s[0] offset %d says nothing about currency and feature set; it is left out", DEPLOYMENT.name, offset)
    return found.facts


def is_known(kafka: KafkaClients, seal: Seal) -> bool:
    """Whether states or rows on the topics are sealed with this key: then the deployment is the key's, whatever ``deployment`` says. It
    looks at the first and the last records of each partition."""
    counts = partition_counts(kafka) if seal.has_key else {}
    with closing(KafkaLog(kafka, f"{kafka.client_id}-facts", ahead_kb=_AHEAD_KB)) as log:
        return any(
            seal.is_ours(topic.name, number, record)
            for topic in _SEALED
            for number in range(counts.get(topic.name, 0))
            for record in _at_both_ends(log, topic, number)
        )


def _at_both_ends(log: KafkaLog, topic: Topic, number: int) -> Iterator[LogRecord]:
    begin, end = log.bounds(topic.name, number)
    middle = min(end, begin + _LOOK)
    for first, last in ((begin, middle), (max(middle, end - _LOOK), end)):
        yield from chain.from_iterable(log.read(topic.name, number, first, last))


def settle(kafka: KafkaClients, seal: Seal, features: str, currency: str, after: int = 0) -> int:
    """Puts these facts on record, as a revision above the one that is there and above ``after``; returns it. Raises UserError if somebody
    else has put others there meanwhile."""
    known = settled(kafka, seal)
    wanted = SettledFacts(features, currency, max(after, 0 if known is None else known.revision) + 1)
    producer, key, value = StageProducer(kafka), facts.key_of(wanted), facts.encode(wanted)
    try:
        producer.send(DEPLOYMENT.name, value, key, 0, [seal.header(DEPLOYMENT.name, 0, key, value)])
        producer.flush()
    finally:
        producer.close()
    found = settled(kafka, seal)
    if found != wanted:
        raise UserError(f"somebody else has settled {found} for Kafka at {kafka.servers} at the same time; run `tidemark up` again")
    return wanted.revision


def require(kafka: KafkaClients, seal: Seal, currency: str, features: str | None) -> None:
    """Raises UserError unless the facts on record are these; ``features`` None: whichever feature set is on record."""
    refused = facts.refusal(settled(kafka, seal), currency, features, kafka.servers)
    if refused is not None:
        raise UserError(refused)


def require_of(config: DeploymentConfig) -> None:
    """Raises UserError unless the facts on record are those of the configuration."""
    require(KafkaClients.of(config), Seal(config.answer_key), config.currency, config.features)
