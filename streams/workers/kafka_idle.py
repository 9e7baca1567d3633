"""Whether the stages have nothing left to do, whoever runs them."""

import logging
import time
from collections.abc import Sequence

from features.errors import UnavailableError
from features.online.feast_store import OnlineStoreError, OnlineWriter
from streams.config import DECIDING, PROJECTING, DeploymentConfig
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients, KafkaException
from streams.kafka.log import KafkaLog
from streams.workers.stages import STAGES

logger = logging.getLogger(__name__)


class IdleWatch:
    """Looks at committed positions and at what Feast has been given. Close it after use."""

    def __init__(self, config: DeploymentConfig, stages: Sequence[str] = DECIDING, unchanged_s: float = 2.0) -> None:
        kafka = KafkaClients.of(config)
        self._logs = {stage: KafkaLog(kafka, config.group(stage)) for stage in stages}
        self._writers = {
            stage: OnlineWriter(config.feast_path, config.application, stage, config.feature_set.digest)
            for stage in stages
            if stage in PROJECTING and config.online
        }
        self._counts = {stage: partition_count(kafka, STAGES[stage].topic.name) for stage in stages}
        self._unchanged_s = unchanged_s
        self._seen: object = None
        self._since = 0.0
        self._unanswered = False

    def idle(self) -> bool:
        """True once every stage has committed the last record of its source, all is projected, and nothing changed for a while; False
        also while Kafka or the online store doesn't answer."""
        try:
            positions = {stage: self._positions(stage) for stage in self._logs}
        except (KafkaException, UnavailableError, OnlineStoreError) as error:
            if not self._unanswered:
                logger.warning("whether work is left can't be seen now: %s", error)
            self._seen, self._unanswered = None, True
            return False
        self._unanswered = False
        now = time.monotonic()
        if positions != self._seen:
            self._seen, self._since = positions, now
        return all(done for stage in positions.values() for _, _, done in stage) and now - self._since >= self._unchanged_s

    def close(self) -> None:
        """Lets go of the connections."""
        for log in self._logs.values():
            log.close()
        for writer in self._writers.values():
            writer.close()

    def _positions(self, stage: str) -> list[tuple[int | None, int, bool]]:
        """Of each partition: the committed position, the end of the log, and whether the stage is done with it."""
        log, topic = self._logs[stage], STAGES[stage].topic.name
        given = self._writers[stage].projected() if stage in self._writers else None
        found = []
        for partition in range(self._counts[stage]):
            begin, end = log.bounds(topic, partition)
            committed = log.committed(topic, partition)
            position = begin if committed is None else committed
            done = position >= end or not log.has_records(topic, partition, position)
            if done and given is not None and committed is not None and committed > begin:
                done = given.get(partition, -1) >= committed
            found.append((committed, end, done))
        return found
