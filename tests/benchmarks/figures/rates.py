"""From samples to figures: what was done when, the sustained rate, and what it cost."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.arrays import Float64, Int64
from features.errors import UserError
from tests.benchmarks.figures.sampling import Sample

# The beginning and the end of a run are not its pace.
FROM, TO = 0.1, 0.9


@dataclass(frozen=True)
class Contents:
    """What a log's partition holds: ``offset`` (int64, rising) of each record and ``total`` transactions up to and including it."""

    offset: Int64
    total: Int64

    def before(self, position: int) -> int:
        """How many transactions lie before this offset."""
        n = int(np.searchsorted(self.offset, position, side="left"))
        return int(self.total[n - 1]) if n else 0


def done(samples: Sequence[Sample], stage: str, contents: Sequence[Contents]) -> Int64:
    """How many transactions the stage had committed at each sample (int64)."""
    return np.array(
        [sum(log.before(position) for log, position in zip(contents, sample.committed[stage], strict=True)) for sample in samples], np.int64
    )


@dataclass(frozen=True)
class Window:
    """The stretch of time (s, monotonic) in which a stage went from 10 % to 90 % of its transactions."""

    begin: float
    end: float
    transactions: float

    @property
    def rate(self) -> float:
        """Transactions a second."""
        return self.transactions / (self.end - self.begin)

    def between(self, at: Float64, values: Float64) -> float:
        """By how much a growing figure, known at the times ``at``, grew in the window."""
        return float(np.interp(self.end, at, values) - np.interp(self.begin, at, values))


def sustained(at: Float64, finished: Int64) -> Window:
    """The window of a stage that had ``finished`` so many transactions at the times ``at``. Raises ValueError if it finished none,
    UserError if it had finished them before anybody looked."""
    total = int(finished[-1])
    if total == 0:
        raise ValueError("nothing was finished")

    def reached(count: float) -> float:
        """When, had all that a sample shows come evenly since the one before."""
        after = int(np.searchsorted(finished, count, side="left"))
        before = max(0, after - 1)
        return float(np.interp(count, finished[[before, after]], at[[before, after]]))

    window = Window(reached(FROM * total), reached(TO * total), (TO - FROM) * total)
    if window.end <= window.begin:
        raise UserError(f"all {total:,} transactions were done before the first look at them; say more --transactions")
    return window


def whole(at: Float64, finished: Int64) -> float:
    """Transactions a second from the last sample at which none was finished to the first at which all were."""
    last_idle = int(np.flatnonzero(finished == finished[0])[-1])
    complete = int(np.flatnonzero(finished == finished[-1])[0])
    return float((finished[-1] - finished[0]) / (at[complete] - at[last_idle]))


def costs(samples: Sequence[Sample], window: Window, ours: Sequence[str] = ()) -> dict[str, object]:
    """CPU in µs a transaction by process and of ``ours`` together, if any, memory (bytes, the most seen) by process, and how many cores
    of the machine were busy, in all and with others than these processes."""
    at = np.array([sample.at for sample in samples])
    used = {name: window.between(at, np.array([sample.cpu.get(name, 0.0) for sample in samples])) for name in samples[-1].cpu}
    machine = window.between(at, np.array([sample.machine_cpu for sample in samples]))
    seconds = window.end - window.begin
    per_transaction = {name: cpu / window.transactions * 1e6 for name, cpu in used.items()}
    return {
        "cpu_us_per_tx": {name: _round(cpu) for name, cpu in per_transaction.items()},
        **({"our_cpu_us_per_tx": _round(sum(per_transaction.get(name, 0.0) for name in ours))} if ours else {}),
        "memory_bytes": {name: max(sample.memory.get(name, 0) for sample in samples) for name in samples[-1].memory},
        "cores_busy": _round(machine / seconds),
        "cores_busy_by_others": _round(max(0.0, machine - sum(used.values())) / seconds),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def _round(value: float) -> float:
    return round(value, 2)
