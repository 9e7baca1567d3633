"""Looks, while stages work, at what they have committed and at what their processes cost."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import psutil
from confluent_kafka import Consumer, KafkaException, TopicPartition

from features.errors import UserError
from streams.config import StreamConfig
from streams.kafka_topics import partition_count
from streams.stages import INGEST, SCORE, STAGES

MEASURED = (INGEST, SCORE)
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


@dataclass
class Sampler:
    """Samples five times a second in a thread, from entering the block to leaving it. Offsets are those committed, aborted ones aside."""

    config: StreamConfig
    pids: Mapping[str, int]
    samples: list[Sample] = field(init=False, default_factory=list)

    def __enter__(self) -> "Sampler":
        self._processes = Processes(self.pids)
        self._partitions = {stage: partition_count(self.config.kafka, STAGES[stage].topic.name) for stage in MEASURED}
        self._consumers = {
            stage: Consumer({"bootstrap.servers": self.config.kafka, "group.id": self.config.group(stage), "enable.auto.commit": False})
            for stage in MEASURED
        }
        self._over = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self.samples.append(self._sample())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for consumer in self._consumers.values():
            consumer.close()

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

    def _run(self) -> None:
        try:
            while not self._over.wait(_EVERY_S):
                self.samples.append(self._sample())
        except Exception as error:
            self._failure = error

    def _sample(self) -> Sample:
        committed = {stage: self._committed(stage) for stage in MEASURED}
        cpu, memory = self._processes.look()
        return Sample(time.monotonic(), committed, cpu, memory, _machine_cpu())

    def _committed(self, stage: str) -> tuple[int, ...]:
        topic = STAGES[stage].topic.name
        found = self._consumers[stage].committed([TopicPartition(topic, p) for p in range(self._partitions[stage])], timeout=_TIMEOUT_S)
        for position in found:
            if position.error is not None:
                raise KafkaException(position.error)
        return tuple(max(0, position.offset) for position in sorted(found, key=lambda position: int(position.partition)))

    def _ends(self, stage: str) -> tuple[int, ...]:
        topic = STAGES[stage].topic.name
        consumer = self._consumers[stage]
        return tuple(consumer.get_watermark_offsets(TopicPartition(topic, p), _TIMEOUT_S)[1] for p in range(self._partitions[stage]))


def _machine_cpu() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0))
