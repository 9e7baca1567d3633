"""Looks, while both stages work, at what they have committed and at what their processes cost."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from streams.config import INGEST, SCORE, DeploymentConfig
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients, KafkaError, KafkaException, TopicPartition
from streams.workers.stages import STAGES
from tests.benchmarks.figures.online_positions import OnlinePositions
from tests.benchmarks.figures.sampling import STUCK_AFTER_S, Processes, Sampler

MEASURED = (INGEST, SCORE)
# What is written to the online store, of each of them.
ONLINE = {stage: f"{stage}, online" for stage in MEASURED}
# What a broker that has just started, or never saw the group, answers about it.
NOT_YET = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.GROUP_ID_NOT_FOUND,
)
_TIMEOUT_S = 10.0


class StageSampler(Sampler):
    """The samples so far; see ``sampling``. Offsets are those committed, whatever transactions are under way; and, in a deployment with an
    online store, those up to which it is written (``ONLINE``)."""

    def __init__(self, config: DeploymentConfig, pids: Mapping[str, int]) -> None:
        super().__init__(Processes(pids))
        self._partitions = {stage: partition_count(KafkaClients.of(config), STAGES[stage].topic.name) for stage in MEASURED}
        self._consumers = {
            stage: KafkaClients.of(config).consumer(
                {
                    "group.id": config.group(stage),
                    "enable.auto.commit": False,
                    # Else it would wait for transactions under way to end, and there is nearly always one.
                    "isolation.level": "read_uncommitted",
                }
            )
            for stage in MEASURED
        }
        self._online = OnlinePositions(config, self._partitions if config.online else {})

    def positions(self) -> Mapping[str, tuple[int, ...]]:
        """What each stage has committed and, of that, what is written to the online store."""
        # In this order, so that what is written is never older than what it is compared with.
        committed = {stage: self._committed(stage) for stage in MEASURED}
        return committed | {ONLINE[stage]: written for stage, written in self._online.look().items()}

    def wait_until_done(self) -> None:
        """Returns once both stages have committed all that their topics hold now. Raises UserError if nothing moves for 60 s."""
        # SCORE's topic has its end only when INGEST is through, so one after the other.
        for stage in MEASURED:
            self._wait_for(stage, self._ends(stage))

    def close(self) -> None:
        """Ends the connections."""
        for consumer in self._consumers.values():
            consumer.close()
        self._online.close()

    def _wait_for(self, stage: str, ends: tuple[int, ...]) -> None:
        self.wait_until(
            lambda sample: all(position >= end for position, end in zip(sample.committed[stage], ends, strict=True)),
            lambda sample: f"stage {stage} stands at {sample.committed[stage]} of {ends} for {STUCK_AFTER_S:.0f} s; see its messages above",
        )

    def _committed(self, stage: str) -> tuple[int, ...]:
        topic = STAGES[stage].topic.name
        asked = [TopicPartition(topic, partition) for partition in range(self._partitions[stage])]
        try:
            found = self._consumers[stage].committed(asked, timeout=_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() not in NOT_YET:
                raise
            return (0,) * len(asked)
        for position in found:
            if position.error is not None:
                raise KafkaException(position.error)
        return tuple(max(0, position.offset) for position in sorted(found, key=lambda position: int(position.partition)))

    def _ends(self, stage: str) -> tuple[int, ...]:
        topic = STAGES[stage].topic.name
        consumer = self._consumers[stage]
        return tuple(consumer.get_watermark_offsets(TopicPartition(topic, p), _TIMEOUT_S)[1] for p in range(self._partitions[stage]))


@contextmanager
def sampling(config: DeploymentConfig, pids: Mapping[str, int]) -> Iterator[StageSampler]:
    """Samples five times a second during the block: both stages, and the processes of these ids."""
    sampler = StageSampler(config, pids)
    try:
        with sampler:
            yield sampler
    finally:
        sampler.close()
