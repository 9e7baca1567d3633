"""What a cluster for a given rate takes, by the figures of ``bench scaling``: work a transaction times transactions. Pure.

It holds as long as the work a transaction doesn't grow with the number of workers and partitions, which the measured layouts show or refute
(``growth``). Nothing is added for peaks, failures or headroom.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# As topics that must survive the loss of a broker are kept.
REPLICAS = 3


@dataclass(frozen=True)
class Cluster:
    """Busy cores by process, bytes a second that the brokers write (all replicas), and the fewest partitions of ``transactions``: a
    partition belongs to one process of a stage."""

    cores: Mapping[str, float]
    written_bytes_per_s: float
    partitions: int


def cluster(scaling: Mapping[str, Any], layout: str, tx_per_s: float) -> Cluster:
    """What ``tx_per_s`` take of machines like the measured one, by the median run of a layout; partitions by the rate of the first layout,
    which is of one worker and one partition. Raises KeyError for a layout not measured.

    A follower's CPU is taken to be the leader's, which is too much rather than too little: it decompresses and validates nothing.
    """
    alone = next(iter(scaling["layouts"].values()))["tx_per_s"]
    run = _median_run(scaling["layouts"][layout])
    used: dict[str, float] = {}
    for process, cpu in run["cpu_us_per_tx"].items():
        name = process.split()[0]  # "ingest 2" is the second worker's
        used[name] = used.get(name, 0.0) + cpu * tx_per_s / 1e6 * (REPLICAS if name == "kafka" else 1)
    written = sum(run["log_bytes_per_tx"].values()) * tx_per_s * REPLICAS
    return Cluster(used, written, -int(-tx_per_s // alone))


def growth(scaling: Mapping[str, Any]) -> dict[str, float]:
    """By layout: CPU of our processes a transaction, as a multiple of the first layout's."""
    costs = {layout: found["our_cpu_us_per_tx"] for layout, found in scaling.get("layouts", {}).items()}
    first = next(iter(costs.values()), 1.0)
    return {layout: cost / first for layout, cost in costs.items()}


def _median_run(found: Mapping[str, Any]) -> Mapping[str, Any]:
    runs = sorted(found["runs"], key=lambda run: float(run["tx_per_s"]))
    median: Mapping[str, Any] = runs[len(runs) // 2]
    return median
