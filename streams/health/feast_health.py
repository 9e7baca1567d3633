"""What Redis shows of a deployment: whether the online store has what the stages know, and what time it is there."""

import time
from contextlib import closing
from itertools import chain

from features.errors import UserError
from features.online.feast_store import OnlineStoreError, OnlineWriter, clock
from streams.config import PROJECTING, DeploymentConfig
from streams.health import findings
from streams.health.findings import Finding, OnlineSeen
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.workers.stages import STAGES


def examine(config: DeploymentConfig) -> list[Finding]:
    """The Feast repository and the online store. Raises KafkaException if Kafka fails meanwhile."""
    try:
        seen = [_seen(config, stage) for stage in PROJECTING]
    except UserError as error:
        return [Finding.of_error("Feast repository", error)]
    except OnlineStoreError as error:
        return [Finding("online store", False, f"doesn't answer ({error})", "see that Redis runs and can be reached: `tidemark up`")]
    return [Finding("Feast repository", True, config.feast_repo), *findings.of_online_store(seen)]


def ahead_s(config: DeploymentConfig) -> float | None:
    """How far Redis' clock is ahead of this machine's, s; None if it doesn't answer."""
    try:
        before = time.time()
        theirs = clock(config.feast_path)
        return theirs - (before + time.time()) / 2
    except (UserError, OnlineStoreError):
        return None


def _seen(config: DeploymentConfig, stage: str) -> OnlineSeen:
    kafka, topic = KafkaClients.of(config), STAGES[stage].topic.name
    with closing(OnlineWriter(config.feast_path, config.application, stage, config.feature_set.digest)) as writer:
        written = writer.projected()
    behind: dict[int, int | None] = {}
    waits = 0.0
    with closing(KafkaLog(kafka, config.group(stage))) as log:
        for number in range(partition_count(kafka, topic)):
            committed, (begin, end) = log.committed(topic, number), log.bounds(topic, number)
            if committed is None or not begin < committed <= end:
                continue
            position = written.get(number)
            behind[number] = None if position is None else max(0, committed - position)
            if position is not None and begin <= position < committed:
                first = next(chain.from_iterable(log.read(topic, number, position, committed)), None)
                waits = max(waits, 0.0 if first is None else time.time() - first.timestamp / 1_000)
    return OnlineSeen(stage, behind, waits)
