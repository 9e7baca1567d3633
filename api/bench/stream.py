"""``bench stream``: how many transactions a second come through both stages, each decided once, and what one costs.

Two ways. ``backlog``: the topic is full before the workers start, so that nothing but them limits the rate. ``replayed``: it is filled by
``tidemark replay`` while they work, which shares the cores with them, as do the broker and Redis in both.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from api.bench import champion, decisions, log_contents, rates
from api.bench.deployment import Deployment, deployed, wait_until_assigned, working
from api.bench.sampling import Sampler, sampling
from api.bench.workload import Source, Workload, workload
from features.errors import UserError
from streams.stages import INGEST, SCORE

Way = Literal["backlog", "replayed"]
WAYS: tuple[Way, ...] = ("backlog", "replayed")
REPLAY = "replay"


@dataclass(frozen=True)
class Spec:
    """What to measure. ``transactions`` None: all of the file; ``runs`` of each way, whose median counts."""

    source: Source | None = None
    transactions: int | None = 1_400_000
    partitions: int = 4
    runs: int = 3

    def quick(self) -> "Spec":
        """The same within three minutes."""
        return Spec(self.source, min(self.transactions or 300_000, 300_000), self.partitions, runs=1)


def run(spec: Spec, told: Callable[[str], None]) -> dict[str, object]:
    """Measures and returns the figures (rates in transactions a second, CPU in µs, memory in bytes). ``told`` gets a line after each run.

    Raises UserError or ServiceError where a measurement isn't one: a stage ended, a transaction had not exactly one decision.
    """
    found: dict[Way, list[dict[str, Any]]] = {way: [] for way in WAYS}
    # The first deployment's folder keeps the workload and the model; each run after it has empty topics of its own.
    with deployed(spec.partitions) as first:
        sent = workload(spec.source, spec.transactions, first.home)
        champion.register(champion.fit(sent, first.config.feature_set), first.config)
        for number in range(spec.runs):
            for way in WAYS:
                if number == 0 and way == WAYS[0]:
                    measured = measure(first, sent, way)
                else:
                    with deployed(spec.partitions, first.config.mlflow) as deployment:
                        measured = measure(deployment, sent, way)
                told(f"{way:<9} {measured['tx_per_s']:>9,.0f} tx/s  {measured['our_cpu_us_per_tx']:.1f} µs CPU/tx")
                found[way].append(measured)
    return {
        "transactions": len(sent),
        "labels": sent.labels,
        "data": sent.about,
        "partitions": spec.partitions,
        "model": {"trees": champion.TREES, "max_depth": champion.DEPTH},
        "exactly_once": {**_summary(found["backlog"]), "replayed": _summary(found["replayed"])},
    }


def measure(deployment: Deployment, sent: Workload, way: Way) -> dict[str, Any]:
    """The figures of one run of a deployment that has a champion and empty topics."""
    if way == "backlog":
        with _replaying(deployment, sent) as replay:
            _finish(replay)
        with working(deployment) as stages, sampling(deployment.config, {**stages, **deployment.services}) as sampler:
            sampler.wait_until_done()
    else:
        with working(deployment) as stages:
            wait_until_assigned(deployment, stages)
            with _replaying(deployment, sent) as replay:
                pids = {**stages, **deployment.services, REPLAY: replay.pid}
                with sampling(deployment.config, pids) as sampler:
                    _finish(replay)
                    sampler.wait_until_done()
    counted = decisions.count(deployment.config)
    counted.require(len(sent))
    return {**figures(deployment, sampler, tuple(stages)), **asdict(counted)}


def figures(deployment: Deployment, sampler: Sampler, stages: Sequence[str]) -> dict[str, Any]:
    """Rates by committed offsets, and what a transaction cost while SCORE was at its pace.

    ``tx_per_s`` and ``ingest_tx_per_s`` hold between 10 % and 90 % of SCORE's and INGEST's transactions; ``whole_tx_per_s`` from before
    SCORE's first commit to its last.
    """
    at = np.array([sample.at for sample in sampler.samples])
    finished = {
        stage: rates.done(sampler.samples, stage, log_contents.contents(deployment.config, stage, deployment.partitions))
        for stage in (INGEST, SCORE)
    }
    window = rates.sustained(at, finished[SCORE])
    return {
        "tx_per_s": round(window.rate, 1),
        "whole_tx_per_s": round(rates.whole(at, finished[SCORE]), 1),
        "ingest_tx_per_s": round(rates.sustained(at, finished[INGEST]).rate, 1),
        **rates.costs(sampler.samples, window, stages),
    }


@contextmanager
def _replaying(deployment: Deployment, sent: Workload) -> Iterator["subprocess.Popen[bytes]"]:
    """``tidemark replay`` at full speed, as anyone would call it."""
    source = sent.source
    command = ["replay", str(source.file), "--columns", source.columns]
    command += ["--amount-unit", source.amount_unit] if source.amount_unit else []
    process = subprocess.Popen(
        [sys.executable, "-c", "from api.cli import main; main()", *command],
        env=deployment.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _finish(replay: "subprocess.Popen[bytes]") -> None:
    if replay.wait():
        raise UserError(f"the replay ended with status {replay.returncode}; mend what its message above says and measure again")


def _summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The median's rate on top, the spread, and each run."""
    spread = rates.spread([run["tx_per_s"] for run in runs])
    return {"tx_per_s": spread["median"], "spread": spread, "runs": list(runs)}
