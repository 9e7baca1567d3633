"""``bench api``: how long POST /v1/score takes, at fixed offered rates and as fast as some callers get their answers.

A worker keeps the states in Redis up to date and repeats each answer on ``decisions``, as in any deployment; the API is one process. The
load generator is one more on the same machine, and what it costs is stated. Latency is what a caller sees, from the moment a request was
due.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from features.errors import UserError
from streams.workers.kafka_idle import IdleWatch
from tests.benchmarks.deployment import champion
from tests.benchmarks.deployment.deployment import Deployment, deployed, require_alive, wait_until_assigned, working
from tests.benchmarks.deployment.serving import Served, serving
from tests.benchmarks.figures import decisions, rates
from tests.benchmarks.figures.sampling import Processes, Usage
from tests.benchmarks.load import generator
from tests.benchmarks.load.child import child, line, wait_until_ready
from tests.benchmarks.load.http_load import Answers, HttpLoad
from tests.benchmarks.load.workload import Workload, workload

API = "api"
_FIRST_RATE = 2_000
_FEWEST = 20_000
# More than one process of the API can answer in a second.
_MOST_PER_S = 4_000
# Of an open load; far more than the API works on at once.
_CONNECTIONS = 128
_IDLE_WITHIN_S = 60.0
_LATENCIES = ("p50_ms", "p90_ms", "p99_ms", "max_ms")


@dataclass(frozen=True)
class Spec:
    """What to measure: each rate (requests a second), then ``callers`` that ask again at once, each for ``seconds`` after ``warm_up``;
    ``runs`` of all, whose medians count.

    ``first_warm_up`` comes once before all: 2,000 transactions a second through the topic, so that there are states to read.
    """

    rates: tuple[int, ...] = (100, 500)
    callers: int = 16
    seconds: int = 20
    warm_up: int = 5
    first_warm_up: int = 30
    partitions: int = 4
    runs: int = 3

    def quick(self) -> "Spec":
        """The same within three minutes."""
        seconds = max(1, min(self.seconds, 45 // (len(self.rates) + 1)))
        return replace(self, seconds=seconds, runs=1, warm_up=min(self.warm_up, 3), first_warm_up=min(self.first_warm_up, 10))

    @property
    def transactions(self) -> int:
        """How many are sent at most."""
        return _FIRST_RATE * self.first_warm_up + self.runs * (self.warm_up + self.seconds) * (sum(self.rates) + _MOST_PER_S)


def run(spec: Spec, report: Callable[[str], None]) -> dict[str, Any]:
    """Measures and returns the figures (ms; CPU in cores). ``report`` gets a line for each rate and run.

    Raises UserError or ServiceError where a measurement isn't one: the API or a stage ended, no request was decided, an answer was not
    repeated on ``decisions`` exactly once.
    """
    found: dict[int | None, list[dict[str, Any]]] = {rate: [] for rate in (*spec.rates, None)}
    with deployed(spec.partitions) as deployment:
        sent = workload(None, max(spec.transactions, _FEWEST), deployment.home)
        champion.register(champion.fit(sent, deployment.config.feature_set), deployment.config)
        with working(deployment) as stages:
            wait_until_assigned(deployment, stages)
            with serving(deployment) as served:
                bench = _Bench(deployment, sent, stages, served)
                bench.warm_up(spec.first_warm_up)
                for _ in range(spec.runs):
                    for rate, runs in found.items():
                        measured = bench.measure(rate, spec)
                        report(_line(rate, spec.callers, measured))
                        runs.append(measured)
            bench.settle()
    return {
        "data": sent.about,
        "partitions": spec.partitions,
        "seconds": spec.seconds,
        "warm_up_s": spec.warm_up,
        "first_warm_up_s": spec.first_warm_up,
        "features": deployment.config.features,
        "model": {"trees": champion.TREES, "max_depth": champion.DEPTH},
        "rates": {str(rate): summary(runs) for rate, runs in found.items() if rate is not None},
        "closed_loop": {"callers": spec.callers, **summary(found[None])},
    }


@dataclass
class _Bench:
    """Asks for ever new transactions of a workload."""

    deployment: Deployment
    sent: Workload
    stages: Mapping[str, int]
    served: Served
    used: int = 0
    decided: int = 0
    failed: int = 0

    def warm_up(self, seconds: int) -> None:
        """Transactions through the topic."""
        config, count = self.deployment.config, _FIRST_RATE * seconds
        load = generator.Load(kafka=config.kafka, file=str(self.sent.source.file), first=0, count=count, rate=_FIRST_RATE)
        with generator.generating(load) as generating:
            generator.outcome(generating)
        self.used = self.decided = count
        self._wait_until_idle()

    def measure(self, rate: int | None, spec: Spec) -> dict[str, Any]:
        """Offers a rate, or lets the callers ask (None), and returns the figures of what came after the warm-up."""
        took = spec.warm_up + spec.seconds
        load = HttpLoad(
            port=self.served.port,
            file=str(self.sent.source.file),
            first=self.used,
            count=(_MOST_PER_S if rate is None else rate) * took,
            rate=rate,
            warm_up=spec.warm_up,
            seconds=spec.seconds,
            connections=spec.callers if rate is None else _CONNECTIONS,
        )
        pids = {API: self.served.pid, **self.stages, **self.deployment.services}
        processes = Processes(pids)
        with child("tests.benchmarks.load.http_load", load) as posting:
            wait_until_ready(posting, "the load generator")
            usage = Usage(processes)
            answers = msgspec.json.decode(line(posting), type=Answers)
            used = usage.until_now()
        require_alive({API: self.served.pid, **self.stages})
        self.used += answers.posted
        self.decided += answers.decided
        self.failed += sum(answers.errors.values())
        if not answers.latency:
            raise UserError(f"of {answers.posted:,} requests none was decided (errors by status: {answers.errors}); see the API's messages")
        cores = {**used.cores, "generator": round(answers.cpu_s / answers.seconds, 3)}
        return {
            "answered_per_s": answers.per_s,
            **answers.latency,
            "requests": answers.posted,
            "errors": answers.errors,
            "cores": cores,
            "cores_busy_by_others": used.by_others(cores),
            "generator_late_p99_ms": answers.late_p99_ms,
            "api_memory_bytes": used.memory[API],
        }

    def settle(self) -> None:
        """Raises UserError unless each answer is on ``decisions`` once; where requests failed, nobody knows of those."""
        self._wait_until_idle()
        if not self.failed:
            decisions.count(self.deployment.config).require(self.decided)

    def _wait_until_idle(self) -> None:
        watch = IdleWatch(self.deployment.config, tuple(self.stages), unchanged_s=0.5)
        try:
            deadline = time.monotonic() + _IDLE_WITHIN_S
            while not watch.idle():
                require_alive(self.stages)
                if time.monotonic() > deadline:
                    raise UserError(f"the worker isn't through after {_IDLE_WITHIN_S:.0f} s; see its messages above and measure again")
                time.sleep(0.2)
        finally:
            watch.close()


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the runs on top, errors of all together, the spread, and each run."""
    spread = {name: rates.spread([run[name] for run in runs]) for name in ("answered_per_s", *_LATENCIES)}
    errors: Counter[str] = Counter()
    for run in runs:
        errors.update(run["errors"])
    api_cores = rates.spread([run["cores"][API] for run in runs])["median"]
    medians = {name: values["median"] for name, values in spread.items()}
    return {**medians, "api_cores": api_cores, "errors": dict(errors), "spread": spread, "runs": runs}


def _line(rate: int | None, callers: int, measured: Mapping[str, Any]) -> str:
    asked = f"{callers} callers" if rate is None else f"{rate:,}/s"
    delays = "  ".join(f"{name.removesuffix('_ms')} {measured[name]:.1f}" for name in _LATENCIES)
    errors = f"  errors {measured['errors']}" if measured["errors"] else ""
    cores = measured["cores"]
    return (
        f"{asked:>10}  {measured['answered_per_s']:,.0f} answers/s  {delays} ms  "
        f"CPU: API {cores[API]:.2f}, generator {cores['generator']:.2f} cores{errors}"
    )
