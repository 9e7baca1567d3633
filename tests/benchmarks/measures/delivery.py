"""``bench delivery``: what deciding exactly once costs against at least once, run by turns on one machine."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

from streams.config import Delivery
from tests.benchmarks.deployment import champion
from tests.benchmarks.deployment.deployment import deployed
from tests.benchmarks.figures import rates
from tests.benchmarks.load.workload import workload
from tests.benchmarks.measures import latency
from tests.benchmarks.measures.stream import measure

_RATE = 1_000


@dataclass(frozen=True)
class Spec:
    """What to measure: ``transactions`` from a full topic, then 1,000 a second for ``seconds``; ``runs`` of each delivery, by turns."""

    transactions: int = 600_000
    seconds: int = 20
    partitions: int = 4
    runs: int = 3

    def quick(self) -> "Spec":
        """The same within some minutes."""
        return Spec(200_000, 10, self.partitions, runs=1)


def run(spec: Spec, told: Callable[[str], None]) -> dict[str, Any]:
    """Measures and returns the figures; ``told`` gets a line after each run. Raises UserError or ServiceError as the other benchmarks."""
    deliveries: tuple[Delivery, ...] = get_args(Delivery)
    found: dict[str, list[dict[str, Any]]] = {delivery: [] for delivery in deliveries}
    with deployed(spec.partitions) as first:
        sent = workload(None, spec.transactions, first.home)
        champion.register(champion.fit(sent, first.config.feature_set), first.config)
        for number in range(spec.runs):
            for delivery in deliveries if number % 2 == 0 else reversed(deliveries):
                with deployed(spec.partitions, first.config.mlflow) as deployment:
                    rate = measure(deployment.of(delivery), sent, "backlog")["tx_per_s"]
                offered = latency.Spec((_RATE,), spec.seconds, first_warm_up=20, setups=(latency.Setup(delivery, spec.partitions),), runs=1)
                delays = latency.run(offered, lambda _line: None)["rates"][str(_RATE)]
                found[delivery].append({"tx_per_s": rate, **{name: delays[name] for name in ("p50_ms", "p99_ms")}})
                told(f"{delivery:<14} {rate:>9,.0f} tx/s  at {_RATE:,} tx/s p50 {delays['p50_ms']:.0f}  p99 {delays['p99_ms']:.0f} ms")
    medians = {
        delivery: {name: rates.spread([run[name] for run in runs])["median"] for name in runs[0]} for delivery, runs in found.items()
    }
    return {
        "transactions": len(sent),
        "data": sent.about,
        "partitions": spec.partitions,
        "cost_of_exactly_once": round(1 - medians["exactly_once"]["tx_per_s"] / medians["at_least_once"]["tx_per_s"], 3),
        **{delivery: {**medians[delivery], "runs": runs} for delivery, runs in found.items()},
    }
