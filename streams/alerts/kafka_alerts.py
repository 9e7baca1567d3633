"""Alerts on their topics, and who has taken note of them, on ``deployment``."""

from collections.abc import Sequence
from contextlib import closing

from features.errors import UserError
from streams.alerts.book import Acknowledged, AlertBook, acknowledged_in, acknowledgement
from streams.alerts.performance import Finding, changes
from streams.kafka.admin import partition_counts
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.kafka.producer import StageProducer
from streams.messages.events import Alert, AlertAction, decode_action, decode_alert, encode
from streams.messages.record import LogRecord
from streams.messages.seal import Seal
from streams.messages.topics import ACTIONS, ALERTS_DRIFT, ALERTS_PERFORMANCE, ALERTS_QUALITY, DEPLOYMENT, Topic

_TOPICS = {"drift": ALERTS_DRIFT, "quality": ALERTS_QUALITY, "performance": ALERTS_PERFORMANCE}
"""By an alert's kind."""
_AHEAD_KB = 4_096


def read(kafka: KafkaClients, seal: Seal) -> AlertBook:
    """All that this deployment has said. Raises UserError if a topic is missing."""
    missing = {topic.name for topic in (*_TOPICS.values(), ACTIONS, DEPLOYMENT)} - set(partition_counts(kafka))
    if missing:
        raise UserError(f"topic {' and '.join(sorted(missing))} is missing on {kafka.servers}; create it with `tidemark up`")
    with closing(_log(kafka)) as log:
        alerts = [decode_alert(record.value or b"") for topic in _TOPICS.values() for record in _ours(log, seal, topic)]
        return AlertBook.of(alerts, acknowledged_in(_ours(log, seal, DEPLOYMENT)))


def actions(kafka: KafkaClients, seal: Seal) -> list[AlertAction]:
    """What was done for alerts, in order."""
    with closing(_log(kafka)) as log:
        return [decode_action(record.value or b"") for record in _ours(log, seal, ACTIONS)]


def send(producer: StageProducer, seal: Seal, alerts: Sequence[Alert]) -> None:
    """Sends alerts to their topics, in a transaction that is the caller's."""
    for alert in alerts:
        _send(producer, seal, _TOPICS[alert.kind], alert.alert_id.encode(), encode(alert))


def settle(kafka: KafkaClients, seal: Seal, findings: Sequence[Finding]) -> list[Alert]:
    """Says what has changed about these causes since the last time, and returns it. Of several that do so at once, each sees what the one
    before has said. Raises UserError if a topic is missing."""
    with closing(StageProducer(kafka, transactional_id=f"{kafka.client_id}-alerts-performance")) as producer:
        producer.fence()
        alerts = changes(findings, read(kafka, seal))
        if alerts:
            producer.begin()
            send(producer, seal, alerts)
            producer.commit()
    return alerts


def note(kafka: KafkaClients, seal: Seal, action: AlertAction) -> None:
    """Puts on record what was done."""
    _put(kafka, seal, ACTIONS, action.alert_id.encode(), encode(action))


def acknowledge(kafka: KafkaClients, seal: Seal, note: Acknowledged) -> None:
    """Puts it on record."""
    _put(kafka, seal, DEPLOYMENT, *acknowledgement(note))


def _log(kafka: KafkaClients) -> KafkaLog:
    return KafkaLog(kafka, f"{kafka.client_id}-alerts", ahead_kb=_AHEAD_KB)


def _ours(log: KafkaLog, seal: Seal, topic: Topic) -> list[LogRecord]:
    """All that this deployment has written to a topic of one partition."""
    return [record for read in log.whole(topic.name, 0) for record in read if seal.is_ours(topic.name, 0, record)]


def _put(kafka: KafkaClients, seal: Seal, topic: Topic, key: bytes, value: bytes) -> None:
    with closing(StageProducer(kafka)) as producer:
        _send(producer, seal, topic, key, value)
        producer.flush()


def _send(producer: StageProducer, seal: Seal, topic: Topic, key: bytes, value: bytes) -> None:
    producer.send(topic.name, value, key, 0, [seal.header(topic.name, 0, key, value)])
