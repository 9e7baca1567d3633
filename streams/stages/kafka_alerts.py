"""ALERTS: judges the hours that MONITOR reports, and says what has changed."""

import logging
from collections.abc import Mapping, Sequence

from streams.alerts import kafka_alerts
from streams.config import ALERTS, DeploymentConfig
from streams.control.mlflow_references import References
from streams.kafka.positions import Positions, reached
from streams.messages.events import Alert
from streams.messages.record import Record
from streams.messages.topics import MONITOR_HOURS, STATE_ALERTS
from streams.monitor.judge import Judge, decode_judgements
from streams.monitor.judge import encode as encode_judgements
from streams.monitor.tally import decode_report
from streams.stages.kafka_kept import KeptStage

logger = logging.getLogger(__name__)


class AlertsWorker(KeptStage[Judge]):
    """A ``partitions.StageWorker``. Its alerts, its state and its position become visible at once or never."""

    def __init__(self, config: DeploymentConfig) -> None:
        super().__init__(config, ALERTS, MONITOR_HOURS, STATE_ALERTS)
        self._references = References(config.mlflow)

    def process(self, records: Mapping[int, Sequence[Record]]) -> Positions:
        """Judges what the reports close, and sends the alerts that follow."""
        alerts: list[Alert] = []
        for number, read in records.items():
            judge = self._states[number]
            for record in read:
                if self._seal.is_ours(MONITOR_HOURS.name, number, record):
                    alerts += judge.apply(decode_report(record.value or b""))
                    self.counts["reports"] += 1
                else:
                    self.counts["ignored.records"] += 1
            self.counts["late"], self.counts["unwatched"] = judge.late, judge.unwatched

        positions = self._commit(lambda producer: kafka_alerts.send(producer, self._seal, alerts), reached(records))
        for alert in alerts:
            self.counts[f"{alert.kind}.{alert.status}"] += 1
            logger.warning("alert %s %s: %s", alert.alert_id, alert.status, alert.sentence)
        return positions

    def _restored(self, encoded: bytes | None) -> Judge:
        return Judge(self._references.of, None if encoded is None else decode_judgements(encoded))

    def _encoded(self, state: Judge) -> bytes:
        return encode_judgements(state.known)
