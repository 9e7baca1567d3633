"""``bench stream``: how many transactions a second come through both stages, each decided once, and what one costs.

Two ways. ``backlog``: the topic is full before the workers start, so that nothing but them limits the rate. ``replayed``: it is filled by
``tidemark replay`` while they work, which shares the cores with them, as do the broker and Redis in both. Each run measures every variant
by turns, and peers on the topic of the first.
"""

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from features.errors import UserError
from streams.config import INGEST, SCORE
from tests.benchmarks.deployment import champion
from tests.benchmarks.deployment.command import tidemark
from tests.benchmarks.deployment.deployment import Deployment, deployed, wait_until_assigned, working
from tests.benchmarks.figures import decisions, log_contents, online_lag, rates
from tests.benchmarks.figures.sampling import Sampler
from tests.benchmarks.figures.stage_sampling import sampling
from tests.benchmarks.load.garbage import mixed_in
from tests.benchmarks.load.random_keys import random_keys
from tests.benchmarks.load.workload import Source, Workload, workload
from tests.benchmarks.peers.runner import peer_environment, peer_run
from tests.benchmarks.peers.runner.peers import BARE_LOOP, Peer

Way = Literal["backlog", "replayed"]
REPLAY = "replay"


@dataclass(frozen=True)
class Setup:
    """One way of ours to be measured: with the online store or without, of usual keys or of many; ``garbage``: which share of the topic
    must be refused (only if it is full beforehand)."""

    way: Way = "backlog"
    online: bool = False
    many: bool = False
    garbage: float = 0.0


EXACTLY_ONCE, ONLINE, REPLAYED, MANY_KEYS, GARBAGE = "exactly_once", "online", "replayed", "many_keys", "garbage"
VARIANTS = {
    EXACTLY_ONCE: Setup(),
    ONLINE: Setup(online=True),
    REPLAYED: Setup(way="replayed", online=True),
    MANY_KEYS: Setup(many=True),
    GARBAGE: Setup(garbage=0.1),
}


def chosen_variants(text: str) -> tuple[str, ...]:
    """Names of ``VARIANTS`` separated by commas. Raises UserError for others, or if the first isn't the one that peers stand beside."""
    names = tuple(text.split(","))
    if names[0] != EXACTLY_ONCE or not set(names) <= VARIANTS.keys() or len(set(names)) < len(names):
        raise UserError(f"--variants {text} must be {EXACTLY_ONCE} and, after it, any of {', '.join(list(VARIANTS)[1:])}")
    return names


@dataclass(frozen=True)
class Spec:
    """What to measure. ``transactions`` None: all of the file; ``runs`` of everything, whose medians count.

    ``users`` of the variant with many keys, which has a tenth as many merchants and three times as many transactions. Peers, but for the
    bare loop, are measured over the first ``of_peers`` of the topic, for some would take minutes for all. ``variants`` are names
    of ``VARIANTS``.
    """

    source: Source | None = None
    transactions: int | None = 1_400_000
    partitions: int = 4
    runs: int = 3
    peers: tuple[Peer, ...] = ()
    users: int = 1_000_000
    of_peers: int = 300_000
    variants: tuple[str, ...] = tuple(VARIANTS)

    def quick(self) -> "Spec":
        """The same within three minutes, but for what peers take."""
        few = min(self.transactions or 300_000, 300_000)
        return replace(self, transactions=few, runs=1, users=min(self.users, few // 3))


def run(spec: Spec, report: Callable[[str], None]) -> dict[str, Any]:
    """Measures and returns the figures (rates in transactions a second, CPU in µs, memory in bytes). ``report`` gets a line after each run.

    Raises UserError or ServiceError where a measurement isn't one: a stage ended, a transaction had not exactly one decision. A peer that
    fails is no reason to: its figures say so.
    """
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in (*spec.variants, *(peer.name for peer in spec.peers))}

    def note(name: str, measured: dict[str, Any]) -> None:
        found[name].append(measured)
        report(_line(name, measured))

    for peer in spec.peers:
        peer_environment.prepare(peer)  # now, for what can't be had would end the benchmark later
    # The first deployment's folder keeps the workload and the model; each run after it has empty topics of its own.
    with deployed(spec.partitions) as first:
        sent = workload(spec.source, spec.transactions, first.home)
        workloads = {False: sent}
        if MANY_KEYS in spec.variants:
            workloads[True] = random_keys(spec.users, max(1, spec.users // 10), 3 * spec.users, first.home)
        models = {many: champion.fit(among, first.config.feature_set) for many, among in workloads.items()}
        champion.register(models[False], first.config)
        for number in range(spec.runs):
            # By turns, so that whatever else the machine does falls on each alike.
            for name in spec.variants if number % 2 == 0 else reversed(spec.variants):
                variant = VARIANTS[name]
                used_up = number > 0 or name != EXACTLY_ONCE
                # A model flags as few of the many keys' transactions as of the usual ones only if it has learnt from them.
                registry = None if variant.many else first.config.mlflow
                with deployed(spec.partitions, registry) if used_up else nullcontext(first) as deployment:
                    if variant.many:
                        champion.register(models[True], deployment.config)
                    note(name, measure(deployment.of(variant.online), workloads[variant.many], variant.way, garbage=variant.garbage))
                    for peer in spec.peers if name == EXACTLY_ONCE else ():
                        among = len(sent) if peer.name == BARE_LOOP else min(len(sent), spec.of_peers)
                        note(peer.name, peer_run.measure(deployment, peer, among, number))
    return {
        "transactions": len(sent),
        "labels": sent.labels,
        "data": sent.about,
        "partitions": spec.partitions,
        "model": {"trees": champion.TREES, "max_depth": champion.DEPTH},
        **{name: {**_data(workloads[VARIANTS[name].many]), **_summary(found[name])} for name in spec.variants},
        **_peers(spec.peers, found),
    }


def measure(deployment: Deployment, sent: Workload, way: Way, workers: int = 1, garbage: float = 0.0) -> dict[str, Any]:
    """The figures of one run of a deployment that has a champion and empty topics."""
    refused = 0
    if way == "backlog":
        records = len(sent) + sent.labels
        with mixed_in(deployment.config, garbage, records) if garbage else nullcontext(0) as refused, replaying(deployment, sent) as replay:
            finish(replay)
        with working(deployment, workers) as stages, sampling(deployment.config, {**stages, **deployment.services}) as sampler:
            sampler.wait_until_done()
    else:
        with working(deployment, workers) as stages:
            wait_until_assigned(deployment, stages)
            with replaying(deployment, sent) as replay:
                pids = {**stages, **deployment.services, REPLAY: replay.pid}
                with sampling(deployment.config, pids) as sampler:
                    finish(replay)
                    sampler.wait_until_done()
    counted = decisions.count(deployment.config)
    counted.require(len(sent), refused)
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
        **({"online_behind_s": online_lag.worst(sampler.samples)} if deployment.config.online else {}),
    }


@contextmanager
def replaying(deployment: Deployment, sent: Workload) -> Iterator["subprocess.Popen[bytes]"]:
    """``tidemark replay`` at full speed, as anyone would call it."""
    source = sent.source
    command = ["replay", str(source.file), "--columns", source.columns]
    command += ["--amount-unit", source.amount_unit] if source.amount_unit else []
    process = subprocess.Popen(
        tidemark(*command),
        env=deployment.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def finish(replay: "subprocess.Popen[bytes]") -> None:
    """Waits for the replay's end. Raises UserError if it failed."""
    if replay.wait():
        raise UserError(f"the replay ended with status {replay.returncode}; fix what its message above says and measure again")


def _data(sent: Workload) -> dict[str, Any]:
    return {"data": sent.about, "transactions": len(sent)}


def _peers(peers: Sequence[Peer], found: Mapping[str, Sequence[dict[str, Any]]]) -> dict[str, Any]:
    """The bare loop, which shows the limit, beside ours; the others under ``peers``."""
    figures = {peer.name: {**peer.about(), **_summary(found[peer.name])} for peer in peers}
    others = {name: figure for name, figure in figures.items() if name != BARE_LOOP}
    return {**({BARE_LOOP: figures[BARE_LOOP]} if BARE_LOOP in figures else {}), **({"peers": others} if others else {})}


def _line(name: str, measured: Mapping[str, Any]) -> str:
    if "error" in measured:
        return "\n".join([f"{name:<13} failed: {measured['error']}; the end of its log:", *measured["log"]])
    ours = measured.get("our_cpu_us_per_tx")
    cpu = measured["cpu_us_per_tx"][name] if ours is None else ours
    return f"{name:<13} {measured['tx_per_s']:>9,.0f} tx/s  {cpu:.1f} µs CPU/tx"


def _summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The median's rate on top (None if all runs failed), the spread, and each run."""
    measured = [run["tx_per_s"] for run in runs if "error" not in run]
    spread = rates.spread(measured) if measured else None
    return {"tx_per_s": spread["median"] if spread else None, "spread": spread, "runs": list(runs)}
