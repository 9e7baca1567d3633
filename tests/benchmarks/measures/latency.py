"""``bench latency``: from the moment a transaction was due to be sent to the arrival of its committed decision.

The load is open, the consumer independent and ``read_committed``; both are processes of their own on the same machine, and what they cost
is stated. The projection to Redis is on: ``online`` says how long it took, from the same moment on, until Feast's online store held states
with the transaction.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pyarrow.parquet as pq

from features.arrays import Float64
from tests.benchmarks.deployment import champion
from tests.benchmarks.deployment.deployment import Deployment, deployed, require_alive, wait_until_assigned, working
from tests.benchmarks.figures import delays, hops, rates
from tests.benchmarks.figures.freshness import OnlineWatch
from tests.benchmarks.figures.sampling import Processes, Usage
from tests.benchmarks.load import child, generator
from tests.benchmarks.load.arrivals import Arrived, Watch
from tests.benchmarks.load.generator import Load
from tests.benchmarks.load.workload import Workload, workload

_FIRST_RATE = 2_000
_FEWEST = 20_000
_MEDIANS = ("p50_ms", "p90_ms", "p99_ms", "max_ms")


@dataclass(frozen=True)
class Spec:
    """What to measure: in deployments of so many ``partitions`` each rate (transactions a second) for ``seconds`` after ``warm_up``;
    ``runs`` of all rates, whose medians count.

    ``first_warm_up`` comes once before all: for about a minute the broker's JVM still compiles what it runs.
    """

    rates: tuple[int, ...] = (1_000, 5_000, 20_000)
    seconds: int = 15
    warm_up: int = 5
    first_warm_up: int = 60
    partitions: tuple[int, ...] = (4, 8)
    runs: int = 3

    def quick(self) -> "Spec":
        """The first number of partitions within three minutes."""
        seconds = max(1, min(self.seconds, 60 // len(self.rates)))
        return replace(self, seconds=seconds, runs=1, first_warm_up=5, partitions=self.partitions[:1])

    @property
    def transactions(self) -> int:
        """How many are sent in all."""
        return _FIRST_RATE * self.first_warm_up + self.runs * sum(rate * (self.warm_up + self.seconds) for rate in self.rates)


def run(spec: Spec, report: Callable[[str], None]) -> dict[str, Any]:
    """Measures and returns the figures (ms; CPU in cores): those of the first number of partitions, and under ``setups`` those of all.
    ``report`` gets a line for each rate and run.

    Raises UserError or ServiceError where a measurement isn't one: a stage ended, a transaction was not decided exactly once.
    """
    setups = {}
    for partitions in spec.partitions:
        report(f"{_setup(partitions)}:")
        setups[_setup(partitions)] = {"partitions": partitions, **_measured(spec, partitions, report)}
    return {
        "seconds": spec.seconds,
        "warm_up_s": spec.warm_up,
        "first_warm_up_s": spec.first_warm_up,
        "model": {"trees": champion.TREES, "max_depth": champion.DEPTH},
        "producer_linger_ms": generator.LINGER_MS,
        **setups[_setup(spec.partitions[0])],
        "setups": setups,
    }


def _setup(partitions: int) -> str:
    return f"{partitions} partitions"


def _measured(spec: Spec, partitions: int, report: Callable[[str], None]) -> dict[str, Any]:
    """The figures with so many partitions."""
    found: dict[int, list[dict[str, Any]]] = {rate: [] for rate in spec.rates}
    with deployed(partitions) as deployment:
        sent = workload(None, max(spec.transactions, _FEWEST), deployment.home)
        champion.register(champion.fit(sent, deployment.config.feature_set), deployment.config)
        with working(deployment) as stages:
            wait_until_assigned(deployment, stages)
            bench = _Bench(deployment, sent, stages)
            bench.measure(_FIRST_RATE, spec.first_warm_up, 0)
            for _ in range(spec.runs):
                for rate in spec.rates:
                    measured = bench.measure(rate, spec.seconds, spec.warm_up)
                    report(f"{rate:>7,} tx/s  p50 {measured['p50_ms']:.0f}  p90 {measured['p90_ms']:.0f}  p99 {measured['p99_ms']:.0f} ms")
                    found[rate].append(measured)
    return {"data": sent.about, "rates": {str(rate): _summary(runs) for rate, runs in found.items()}}


@dataclass
class _Bench:
    """Sends ever new transactions of a workload to one deployment."""

    deployment: Deployment
    sent: Workload
    stages: Mapping[str, int]
    used: int = 0

    def measure(self, rate: int, seconds: int, warm_up: int) -> dict[str, Any]:
        """Offers a rate and returns the figures of what was due after the warm-up."""
        config = self.deployment.config
        load = Load(kafka=config.kafka, file=str(self.sent.source.file), first=self.used, count=rate * (warm_up + seconds), rate=rate)
        self.used += load.count
        file = self.deployment.home / "arrivals.parquet"
        since = hops.ends(config, self.deployment.partitions)
        processes = Processes({**self.stages, **self.deployment.services})
        arriving = child.child("tests.benchmarks.load.arrivals", Watch(kafka=config.kafka, count=load.count, file=str(file)))
        with arriving as arrivals, OnlineWatch(config, self.deployment.partitions) as online:
            child.wait_until_ready(arrivals, "the consumer of the decisions")
            usage = Usage(processes)
            with generator.generating(load) as generating:
                sent = generator.outcome(generating)
            used = usage.until_now()
            seen = msgspec.json.decode(child.line(arrivals), type=Arrived)
            arrived, times = pq.read_table(file), hops.times(config, since)
            readable = online.readable(arrived, times)
        require_alive(self.stages)
        cores = {
            **used.cores,
            "generator": round(sent.cpu_s / sent.seconds, 3),
            "consumer": round(seen.cpu_s / used.seconds, 3),
        }
        due = delays.due_of(arrived, self._ids(load), sent.start_ms + generator.due(load))
        counted = due >= sent.start_ms + 1000 * warm_up

        def percentiles(delay: Mapping[str, Float64]) -> dict[str, dict[str, float]]:
            return {name: delays.percentiles(values[counted]) for name, values in delay.items()}

        return {
            "transactions": int(counted.sum()),
            **delays.percentiles((arrived["arrived_at"].to_numpy() - due)[counted]),
            "parts": percentiles(delays.parts(arrived, due, times)),
            "online": percentiles({entity: at - due for entity, at in readable.items()}),
            "cores": cores,
            "cores_busy_by_others": used.by_others(cores),
            "generator_late_ms": {"p99": sent.late_p99_ms, "max": sent.late_max_ms},
        }

    def _ids(self, load: Load) -> list[str]:
        found: list[str] = self.sent.table["transaction_id"].slice(load.first, load.count).to_pylist()
        return found


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the runs on top, and each run."""
    online = {entity: {name: _median([run["online"][entity][name] for run in runs]) for name in _MEDIANS} for entity in runs[0]["online"]}
    return {**{name: _median([run[name] for run in runs]) for name in _MEDIANS}, "online": online, "runs": runs}


def _median(values: list[float]) -> float:
    return rates.spread(values)["median"]
