"""Looks, while something works, at how far it has come and at what its processes cost."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Self

import psutil

from features.errors import UserError

STUCK_AFTER_S = 60.0


@dataclass(frozen=True)
class Sample:
    """``at`` in s (monotonic); ``committed`` next offsets by stage or topic, one a partition; CPU in s since start, resident memory in
    bytes by process name; ``machine_cpu`` all busy CPU seconds of the machine since boot."""

    at: float
    committed: Mapping[str, tuple[int, ...]]
    cpu: Mapping[str, float]
    memory: Mapping[str, int]
    machine_cpu: float


class Processes:
    """CPU and memory of processes by name, of ``families`` with those that they started. What has ended keeps the CPU it was last seen
    with, and a name the memory."""

    def __init__(self, pids: Mapping[str, int], families: Collection[str] = ()) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._families = frozenset(families)
        self._cpu: dict[str, dict[psutil.Process, float]] = {}
        self._memory: dict[str, int] = {}

    def look(self) -> tuple[dict[str, float], dict[str, int]]:
        """CPU seconds (user and system) and resident bytes."""
        for name in self._processes:
            memory = 0
            for process in self._members(name):
                try:
                    with process.oneshot():
                        times = process.cpu_times()
                        self._cpu.setdefault(name, {})[process] = times.user + times.system
                        memory += process.memory_info().rss
                except psutil.Error:
                    continue
            self._memory[name] = memory or self._memory.get(name, 0)
        return {name: sum(seconds.values()) for name, seconds in self._cpu.items()}, dict(self._memory)

    def _members(self, name: str) -> list[psutil.Process]:
        process = self._processes[name]
        try:
            return [process, *(process.children(recursive=True) if name in self._families else ())]
        except psutil.Error:
            return []


@dataclass(frozen=True)
class Used:
    """``cores`` by process name and ``machine``'s over so many ``seconds``, and each process's ``memory`` (bytes) at the end."""

    seconds: float
    cores: Mapping[str, float]
    memory: Mapping[str, int]
    machine: float

    def by_others(self, cores: Mapping[str, float]) -> float:
        """Cores that were busy besides these."""
        return round(max(0.0, self.machine - sum(cores.values())), 2)


class Usage:
    """What processes and the machine use from now on."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        (self._before, _), self._machine, self._began = processes.look(), machine_cpu(), time.monotonic()

    def until_now(self) -> Used:
        """So far."""
        (after, memory), busy, seconds = self._processes.look(), machine_cpu() - self._machine, time.monotonic() - self._began
        cores = {name: round((after[name] - self._before[name]) / seconds, 3) for name in after}
        return Used(seconds, cores, memory, busy / seconds)


class Sampler(ABC):
    """The samples so far, one every ``every_s`` while its block lasts: where something stands, and what processes cost."""

    every_s = 0.2

    def __init__(self, processes: Processes) -> None:
        self.samples: list[Sample] = []
        self._processes = processes
        self._over = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    @abstractmethod
    def positions(self) -> Mapping[str, tuple[int, ...]]:
        """Next offsets by name, one a partition. Asked by one thread only."""

    def wait_until(self, done: Callable[[Sample], bool], stuck: Callable[[Sample], str]) -> None:
        """Returns once a sample is ``done``. Raises UserError with what ``stuck`` says if no position moves for 60 s."""
        moved, before = time.monotonic(), self.samples[-1].committed
        while not done(self.samples[-1]):
            if self._failure is not None:
                raise self._failure
            if self.samples[-1].committed != before:
                moved, before = time.monotonic(), self.samples[-1].committed
            if time.monotonic() - moved > STUCK_AFTER_S:
                raise UserError(stuck(self.samples[-1]))
            time.sleep(self.every_s / 2)

    def __enter__(self) -> Self:
        """Takes the first sample, and the others in a thread."""
        self.samples.append(self._sample())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the thread."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._over.wait(self.every_s):
                self.samples.append(self._sample())
        except Exception as error:
            self._failure = error

    def _sample(self) -> Sample:
        positions = self.positions()
        cpu, memory = self._processes.look()
        return Sample(time.monotonic(), positions, cpu, memory, machine_cpu())


def machine_cpu() -> float:
    """Busy CPU seconds of all cores since boot."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0))
