"""Looks, while stages work, at what they have committed and at what their processes cost."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from features.errors import UserError
from streams.config import StreamConfig
from streams.kafka_topics import partition_count
from streams.stages import INGEST, SCORE, STAGES

MEASURED = (INGEST, SCORE)
# What a broker that has just started, or never saw the group, answers about it.
NOT_YET = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.GROUP_ID_NOT_FOUND,
)
_EVERY_S = 0.2
_TIMEOUT_S = 10.0
_STUCK_AFTER_S = 60.0


@dataclass(frozen=True)
class Sample:
    """``at`` in s (monotonic); ``committed`` next offsets by stage, one a partition; CPU in s since start, resident memory in bytes by
    process name; ``machine_cpu`` all busy CPU seconds of the machine since boot."""

    at: float
    committed: Mapping[str, tuple[int, ...]]
    cpu: Mapping[str, float]
    memory: Mapping[str, int]
    machine_cpu: float


class Processes:
    """CPU and memory of processes by name. What has ended keeps the figures it was last seen with."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._cpu: dict[str, float] = {}
        self._memory: dict[str, int] = {}

    def look(self) -> tuple[dict[str, float], dict[str, int]]:
        """CPU seconds (user and system) and resident bytes."""
        for name, process in self._processes.items():
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    self._cpu[name], self._memory[name] = times.user + times.system, process.memory_info().rss
            except psutil.Error:
                continue
        return dict(self._cpu), dict(self._memory)


class Sampler:
    """The samples so far; see ``sampling``. Offsets are those committed, whatever transactions are under way."""

    def __init__(self, config: StreamConfig, pids: Mapping[str, int]) -> None:
        self.samples: list[Sample] = []
        self._processes = Processes(pids)
        self._partitions = {stage: partition_count(config.kafka, STAGES[stage].topic.name) for stage in MEASURED}
        self._consumers = {
            stage: Consumer(
                {
                    "bootstrap.servers": config.kafka,
                    "group.id": config.group(stage),
                    "enable.auto.commit": False,
                    # Else it would wait for transactions under way to end, and there is nearly always one.
                    "isolation.level": "read_uncommitted",
                }
            )
            for stage in MEASURED
        }
        self._over = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def wait_until_done(self) -> None:
        """Returns once both stages have committed all that their topics hold now. Raises UserError if nothing moves for 60 s."""
        moved, before = time.monotonic(), self.samples[-1].committed
        # SCORE's topic has its end only when INGEST is through, so one after the other.
        for stage in MEASURED:
            ends = self._ends(stage)
            while any(position < end for position, end in zip(self.samples[-1].committed[stage], ends, strict=True)):
                if self._failure is not None:
                    raise self._failure
                if self.samples[-1].committed != before:
                    moved, before = time.monotonic(), self.samples[-1].committed
                if time.monotonic() - moved > _STUCK_AFTER_S:
                    raise UserError(f"stage {stage} stands at {before[stage]} of {ends} for {_STUCK_AFTER_S:.0f} s; see its messages above")
                time.sleep(_EVERY_S / 2)

    def start(self) -> None:
        """Takes the first sample, and the others in a thread."""
        self.samples.append(self._sample())
        self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        for consumer in self._consumers.values():
            consumer.close()

    def _run(self) -> None:
        try:
            while not self._over.wait(_EVERY_S):
                self.samples.append(self._sample())
        except Exception as error:
            self._failure = error

    def _sample(self) -> Sample:
        committed = {stage: self._committed(stage) for stage in MEASURED}
        cpu, memory = self._processes.look()
        return Sample(time.monotonic(), committed, cpu, memory, machine_cpu())

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
def sampling(config: StreamConfig, pids: Mapping[str, int]) -> Iterator[Sampler]:
    """Samples five times a second during the block: both stages, and the processes of these ids."""
    sampler = Sampler(config, pids)
    try:
        sampler.start()
        yield sampler
    finally:
        sampler.close()


def machine_cpu() -> float:
    """Busy CPU seconds of all cores since boot."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0))
