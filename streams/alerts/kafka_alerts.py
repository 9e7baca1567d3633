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

ALERT_TOPICS = (ALERTS_DRIFT, ALERTS_QUALITY, ALERTS_PERFORMANCE)
_AHEAD_KB = 4_096


def read(kafka: KafkaClients, seal: Seal) -> AlertBook:
    """All that this deployment has said. Raises UserError if a topic is missing."""
    missing = {topic.name for topic in (*ALERT_TOPICS, ACTIONS, DEPLOYMENT)} - set(partition_counts(kafka))
    if missing:
        raise UserError(f"topic {' and '.join(sorted(missing))} is missing on {kafka.servers}; create it with `tidemark up`")
    with closing(KafkaLog(kafka, f"{kafka.client_id}-alerts", ahead_kb=_AHEAD_KB)) as log:

        def ours(topic: Topic) -> list[LogRecord]:
            return [record for read in log.whole(topic.name, 0) for record in read if seal.is_ours(topic.name, 0, record)]

        alerts = [decode_alert(record.value or b"") for topic in ALERT_TOPICS for record in ours(topic)]
        return AlertBook.of(alerts, acknowledged_in(ours(DEPLOYMENT)))


def actions(kafka: KafkaClients, seal: Seal) -> list[AlertAction]:
    """What was done for alerts, in order."""
    with closing(KafkaLog(kafka, f"{kafka.client_id}-alerts", ahead_kb=_AHEAD_KB)) as log:
        records = [record for read in log.whole(ACTIONS.name, 0) for record in read]
    return [decode_action(record.value or b"") for record in records if seal.is_ours(ACTIONS.name, 0, record)]


def note(kafka: KafkaClients, seal: Seal, action: AlertAction) -> None:
    """Puts on record what was done."""
    key, value = action.alert_id.encode(), encode(action)
    with closing(StageProducer(kafka)) as producer:
        producer.send(ACTIONS.name, value, key, 0, [seal.header(ACTIONS.name, 0, key, value)])
        producer.flush()


def settle(kafka: KafkaClients, seal: Seal, findings: Sequence[Finding]) -> list[Alert]:
    """Says what has changed about these causes since the last time, and returns it. Of several that do so at once, each sees what the one
    before has said. Raises UserError if a topic is missing."""
    with closing(StageProducer(kafka, transactional_id=f"{kafka.client_id}-alerts-performance")) as producer:
        producer.fence()
        alerts = changes(findings, read(kafka, seal))
        if alerts:
            producer.begin()
            for alert in alerts:
                key, value = alert.alert_id.encode(), encode(alert)
                producer.send(ALERTS_PERFORMANCE.name, value, key, 0, [seal.header(ALERTS_PERFORMANCE.name, 0, key, value)])
            producer.commit()
    return alerts


def acknowledge(kafka: KafkaClients, seal: Seal, note: Acknowledged) -> None:
    """Puts it on record."""
    key, value = acknowledgement(note)
    with closing(StageProducer(kafka)) as producer:
        producer.send(DEPLOYMENT.name, value, key, 0, [seal.header(DEPLOYMENT.name, 0, key, value)])
        producer.flush()
