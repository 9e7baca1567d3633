"""What Redis shows of a deployment: whether the online store has what the stages know, and what time it is there."""

import threading
import time
from contextlib import closing
from itertools import chain

from features.errors import UserError
from features.online.feast_store import OnlineReader, OnlineStoreError, OnlineWriter, clock
from streams.config import INGEST, PROJECTING, SCORE, DeploymentConfig
from streams.health import findings
from streams.health.findings import Finding, OnlineSeen
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients, KafkaException
from streams.kafka.log import KafkaLog
from streams.workers.stages import STAGES

_LOOK_EVERY_S = 2.0


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


class OnlineWatch:
    """Looks every two seconds whether the online store has what the stages know, from a thread of its own. Close it after use.

    ``lack`` is a sentence about what it lacks, None if that is nothing, and while Kafka or Redis don't answer: who reads a state sees the
    latter. ``sentinel`` names the life of Redis' data that was looked at; where it is another now, they are lost since.
    """

    def __init__(self, config: DeploymentConfig, reader: OnlineReader) -> None:
        self._config, self._reader = config, reader
        self.lack: str | None = None
        self.sentinel = ""
        self._closing = threading.Event()
        self._look()
        self._thread = threading.Thread(target=self._run, name="online store watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Looks no more."""
        self._closing.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._closing.wait(_LOOK_EVERY_S):
            self._look()

    def _look(self) -> None:
        for _ in range(2):
            try:
                before = self._reader.sentinel()
                (found,) = findings.of_online_store([_seen(self._config, stage) for stage in (INGEST, SCORE)])
                after = self._reader.sentinel()
            except (UserError, OnlineStoreError, KafkaException):
                return
            # One that was lost meanwhile, or never there, is made by looking.
            if before == after:
                self.lack, self.sentinel = None if found.ok else found.detail, after
                return


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
