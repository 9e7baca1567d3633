"""``bench soak``: whether memory stays as it is under a steady load.

The load is simulated and never repeats; event time runs many times as fast as the clock, so windows fill and keys become idle meanwhile.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from features.definitions import DAY
from features.errors import UserError
from features.history.datafile import write_transactions
from streams.simulate import SIMULATED, SimulationSpec, simulate_chunks
from tests.benchmarks.deployment import champion
from tests.benchmarks.deployment.deployment import Deployment, deployed, require_alive, wait_until_assigned, working
from tests.benchmarks.figures import rates
from tests.benchmarks.figures.sampling import Sample
from tests.benchmarks.figures.stage_sampling import sampling
from tests.benchmarks.load.generator import Load, Sent, generating, outcome
from tests.benchmarks.load.workload import workload

_USERS, _MERCHANTS = 50_000, 20_000
_BEGIN_MS = 14_610 * DAY  # 2010-01-01
_DAYS = 3_650
_LEARN_FROM = 100_000
# Ahead of its time, so that it has read and encoded its part by then.
_AHEAD_S = 15.0


@dataclass(frozen=True)
class Spec:
    """What to measure: ``rate`` transactions a second for ``minutes``, of which the first ``warm_up`` fill windows and the memory of
    duplicates and don't count. ``lead_s`` are left to make the first part of the load."""

    rate: int = 10_000
    minutes: float = 30
    warm_up: float = 10
    partitions: int = 4
    lead_s: float = 20.0

    def quick(self) -> "Spec":
        """The same within three minutes: enough to see that it works, not whether memory stays."""
        return Spec(self.rate, 1.0, 0.5, self.partitions)


def run(spec: Spec, report: Callable[[str], None]) -> dict[str, Any]:
    """Measures and returns the figures (memory in bytes). ``report`` gets a line a part of the load.

    Raises UserError or ServiceError where a measurement isn't one: a stage ended, or did not keep up.
    """
    if not 0 <= spec.warm_up < spec.minutes:
        raise UserError(f"a warm-up of {spec.warm_up:g} of {spec.minutes:g} minutes leaves nothing to measure; say fewer --warm-up")
    with deployed(spec.partitions) as deployment:
        register_from = workload(None, _LEARN_FROM, deployment.home)
        champion.register(champion.fit(register_from, deployment.config.feature_set), deployment.config)
        with working(deployment) as stages:
            wait_until_assigned(deployment, stages)
            with sampling(deployment.config, {**stages, **deployment.services}) as sampler:
                sent = _load(spec, deployment, report)
                offered = time.monotonic()
                sampler.wait_until_done()
                require_alive(stages)
                behind_s = time.monotonic() - offered
            samples = sampler.samples
    begin = samples[0].at + spec.lead_s + 60 * spec.warm_up
    return {
        "data": f"simulated, {_USERS:,} users and {_MERCHANTS:,} merchants",
        "partitions": spec.partitions,
        "rate": spec.rate,
        "minutes": spec.minutes,
        "warm_up_minutes": spec.warm_up,
        "transactions": sum(part.count for part, _ in sent),
        "generator_late_ms": {"p99": max(found.late_p99_ms for _, found in sent), "max": max(found.late_max_ms for _, found in sent)},
        "behind_at_the_end_s": round(behind_s, 1),
        "memory_bytes": growth(samples, begin, offered),
        "cores": _cores(samples, begin, offered),
    }


def growth(samples: Sequence[Sample], begin: float, end: float) -> dict[str, dict[str, float]]:
    """Of each process: resident bytes at ``begin`` (s, monotonic) and ``end``, the most between, and the least-squares slope an hour."""
    inside = [sample for sample in samples if begin <= sample.at <= end]
    at = np.array([sample.at for sample in inside])
    found = {}
    for name in samples[-1].memory:
        memory = np.array([sample.memory.get(name, 0) for sample in inside], np.float64)
        slope = float(np.polyfit(at - at[0], memory, 1)[0])
        found[name] = {
            "first": float(np.median(memory[:25])),
            "last": float(np.median(memory[-25:])),
            "most": float(memory.max()),
            "per_hour": round(3600 * slope),
        }
    return found


def _cores(samples: Sequence[Sample], begin: float, end: float) -> Mapping[str, float]:
    at = np.array([sample.at for sample in samples])
    window = rates.Window(begin, end, 1)
    used = {name: window.between(at, np.array([sample.cpu.get(name, 0.0) for sample in samples])) for name in samples[-1].cpu}
    return {name: round(cpu / (end - begin), 2) for name, cpu in used.items()}


def _load(spec: Spec, deployment: Deployment, report: Callable[[str], object]) -> list[tuple[Load, Sent]]:
    """Offers the load in parts, each by a generator that is ready when the one before ends."""
    due_ms = (time.time() + spec.lead_s) * 1000
    sent: list[tuple[Load, Sent]] = []
    with ExitStack() as running:
        before: tuple[Load, Any] | None = None
        for load in _parts(spec, deployment, due_ms):
            time.sleep(max(0.0, load.start_ms / 1000 - _AHEAD_S - time.time()))
            process = running.enter_context(generating(load))
            if before is not None:
                sent.append(_finished(*before))
                report(f"{sum(part.count for part, _ in sent):>12,} transactions sent")
            before = load, process
        if before is not None:
            sent.append(_finished(*before))
    return sent


def _finished(load: Load, process: Any) -> tuple[Load, Sent]:
    found = outcome(process)
    Path(load.file).unlink()
    return load, found


def _parts(spec: Spec, deployment: Deployment, due_ms: float) -> Iterator[Load]:
    missing = round(spec.rate * 60 * spec.minutes)
    chunks: Iterator[pa.Table] = simulate_chunks(SimulationSpec(seed=1, users=_USERS, merchants=_MERCHANTS, start_ms=_BEGIN_MS, days=_DAYS))
    for number, table in enumerate(chunks):
        table = table.slice(0, missing)
        file = deployment.home / f"load-{number}.parquet"
        write_transactions(file, [table], SIMULATED)
        yield Load(kafka=deployment.config.kafka, file=str(file), first=0, count=len(table), rate=spec.rate, start_ms=due_ms)
        missing -= len(table)
        due_ms += 1000 * len(table) / spec.rate
        if not missing:
            return
    raise UserError(f"the simulation ends {missing:,} transactions early; say fewer --minutes or a lower --rate")
