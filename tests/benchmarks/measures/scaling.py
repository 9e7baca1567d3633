"""``bench scaling``: how the rate and the CPU of a transaction follow workers, partitions, a hot key and the number of windows."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from features.definitions import ACTIVITY_WINDOWS, FEATURE_SETS, OUTCOME, Entity, FeatureSet
from features.history.log import HistoryLog
from tests.benchmarks.deployment import champion
from tests.benchmarks.deployment.deployment import deployed
from tests.benchmarks.figures import rates
from tests.benchmarks.load.random_keys import random_keys
from tests.benchmarks.load.workload import Source, Workload, workload
from tests.benchmarks.measures.kernel import BLOCK, update_costs
from tests.benchmarks.measures.stream import measure

_PARTITIONS = 4
# As many as the handbook has.
_USERS, _MERCHANTS = 5_000, 10_000
_FEATURES = "fraud_v1"


@dataclass(frozen=True)
class Spec:
    """What to measure: ``transactions`` (None: all of the file) through each layout of (workers, partitions), and with half of all at one
    key; in ``runs`` whose medians count. Exactly once, from a full topic, without the online store."""

    source: Source | None = None
    transactions: int | None = 600_000
    layouts: tuple[tuple[int, int], ...] = ((1, 1), (1, 4), (1, 16), (2, 4), (2, 16))
    hot: tuple[Entity, ...] = ("user", "merchant")
    runs: int = 3

    def quick(self) -> "Spec":
        """The same within some minutes."""
        return replace(self, transactions=min(self.transactions or 200_000, 200_000), layouts=((1, 1), (1, 4), (2, 4)), runs=1)


def run(spec: Spec, report: Callable[[str], None]) -> dict[str, Any]:
    """Measures and returns the figures (transactions a second; CPU in µs a transaction or update). ``report`` gets a line after each run.

    Raises UserError or ServiceError where a measurement isn't one.
    """
    layouts: dict[str, list[dict[str, Any]]] = {}
    hot: dict[str, list[dict[str, Any]]] = {}
    feature_set = FEATURE_SETS[_FEATURES]
    with TemporaryDirectory(prefix="tidemark-bench-") as folder:
        sent = workload(spec.source, spec.transactions, Path(folder))
        skewed = {entity: random_keys(min(_USERS, len(sent)), _MERCHANTS, len(sent), Path(folder), entity) for entity in spec.hot}
        models = {among.about: champion.fit(among, feature_set) for among in (sent, *skewed.values())}

        def measured(about: str, among: Workload, workers: int, partitions: int) -> dict[str, Any]:
            with deployed(partitions) as deployment:
                champion.register(models[among.about], deployment.config)
                found = measure(deployment.of(False), among, "backlog", workers)
                found["log_bytes_per_tx"] = _stored(deployment.home, len(among))
            report(f"{about:<28} {found['tx_per_s']:>9,.0f} tx/s  {found['our_cpu_us_per_tx']:.1f} µs CPU/tx")
            return found

        for _ in range(spec.runs):
            for workers, partitions in spec.layouts:
                about = f"{workers} workers, {partitions} partitions"
                layouts.setdefault(about, []).append(measured(about, sent, workers, partitions))
            for entity, among in skewed.items():
                hot.setdefault(entity, []).append(measured(f"half at one {entity}", among, 1, _PARTITIONS))
    return {
        "transactions": len(sent),
        "data": sent.about,
        "model": {"trees": champion.TREES, "max_depth": champion.DEPTH},
        "layouts": {about: _summary(found) for about, found in layouts.items()},
        "hot_key": {"share": 0.5, **{entity: _summary(found) for entity, found in hot.items()}},
        "windows": _windows(sent),
    }


def _stored(home: Path, transactions: int) -> dict[str, float]:
    """Bytes a transaction on the broker's disk, by topic, as they are compressed; what is compacted may be less by then."""
    found: Counter[str] = Counter()
    for segment in home.glob("kafka/**/*.log"):
        if place := re.fullmatch(r"(.+)-\d+", segment.parent.name):
            found[place[1]] += segment.stat().st_size
    return {topic: round(size / transactions, 1) for topic, size in sorted(found.items()) if not topic.startswith("__")}


def _windows(sent: Workload) -> dict[str, float]:
    """CPU (µs) of the kernel for an update and a vector of a user, by the number of windows: 1 to 6 of activity, and 3 of outcomes more."""
    log = HistoryLog.from_table(sent.table)
    found = {}
    for feature_set in (
        *(FeatureSet(f"{n}", ACTIVITY_WINDOWS[:n], ()) for n in range(1, len(ACTIVITY_WINDOWS) + 1)),
        FEATURE_SETS[_FEATURES],
    ):
        costs = update_costs(log, feature_set, "user")
        # Without the first block, in which the kernel may still be compiled, unless it is all there is.
        left_out = BLOCK if len(costs) > 1 else 0
        used = float(costs[left_out // BLOCK :].sum())
        found[str(len(feature_set.activity) + len(feature_set.outcome))] = round(used / (len(log.kind) - left_out) * 1e6, 3)
    assert len(found) == len(ACTIVITY_WINDOWS) + bool(OUTCOME)
    return found


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    spread = rates.spread([run["tx_per_s"] for run in runs])
    cpu = rates.spread([run["our_cpu_us_per_tx"] for run in runs])
    return {"tx_per_s": spread["median"], "our_cpu_us_per_tx": cpu["median"], "spread": spread, "runs": runs}
