"""What an aligned replay costs: the same file replayed plainly and aligned, in one run, over the same number of partitions.

    python -m tests.benchmarks.aligned_replay --transactions 300000 --json docs/results/aligned-replay.json

reads the file that TIDEMARK_HANDBOOK names (or --data). Each way has empty topics of its own, and its topic is full before INGEST and SCORE
start: so their rates are their own and not the sender's. ``ratio`` is that of the whole way, from INGEST's first commit to SCORE's last;
``ingest_ratio`` that of the rates at which INGEST alone goes, and its CPU time a transaction says what that costs on a machine that isn't
quiet.
"""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from api.cli.conventions import write_summary
from streams.config import INGEST, LABELS_COPY, SCORE
from streams.kafka.client import KafkaClients
from streams.messages.seal import Seal
from streams.replay.aligned.kafka_replay import name_of
from streams.replay.kafka_replay import Aligned, replay
from streams.replay.plan import plan_replay
from streams.workers.worker import Worker
from tests.benchmarks.deployment import champion
from tests.benchmarks.deployment.deployment import Deployment, deployed, require_alive
from tests.benchmarks.figures import decisions, log_contents, rates
from tests.benchmarks.figures.sampling import Sample
from tests.benchmarks.figures.stage_sampling import sampling
from tests.benchmarks.load.workload import Source, Workload, workload
from tests.benchmarks.report.provenance import provenance

WAYS = ("plain", "aligned")


def measure(way: str, sent: Workload, partitions: int, registry: str) -> dict[str, Any]:
    """The figures of one run: rates in transactions a second, INGEST's CPU time in µs a transaction, from 10 % to 90 % of its way."""
    with deployed(partitions, registry) as deployment:
        config, plan = deployment.config, plan_replay(sent.table)
        name = name_of(sent.source.file)
        replay(
            sent.table,
            plan,
            KafkaClients.of(config),
            Seal(config.answer_key),
            aligned=Aligned(name, len(plan), range(partitions)) if way == "aligned" else None,
        )
        ingest = (
            Worker(config, (INGEST,), "streams.replay.aligned.kafka_process", (name,), finite=True)
            if way == "aligned"
            else Worker(config, (INGEST,))
        )
        others = Worker(config, (LABELS_COPY, SCORE))
        try:
            for worker in (ingest, others):
                worker.start()
            stages = {**ingest.pids(), **others.pids()}
            with sampling(config, {**stages, **deployment.services}) as sampler:
                sampler.wait_until_done()
            require_alive(others.pids())
        finally:
            for worker in (ingest, others):
                worker.stop()
        decisions.count(config).require(len(sent))
        return figures(sampler.samples, deployment)


def figures(samples: Sequence[Sample], deployment: Deployment) -> dict[str, Any]:
    """See ``measure``."""
    at = np.array([sample.at for sample in samples])
    finished = {
        stage: rates.done(samples, stage, log_contents.contents(deployment.config, stage, deployment.partitions))
        for stage in (INGEST, SCORE)
    }
    begin = at[np.flatnonzero(finished[INGEST] == 0)[-1]]
    end = at[np.flatnonzero(finished[SCORE] == finished[SCORE][-1])[0]]
    window = rates.sustained(at, finished[INGEST])
    cpu = window.between(at, np.array([sample.cpu.get(INGEST, 0.0) for sample in samples]))
    machine = window.between(at, np.array([sample.machine_cpu for sample in samples]))
    ours = window.between(at, np.array([sum(sample.cpu.values()) for sample in samples]))
    return {
        "tx_per_s": round(float(finished[SCORE][-1] / (end - begin)), 1),
        "ingest_tx_per_s": round(window.rate, 1),
        "ingest_cpu_us_per_tx": round(cpu / window.transactions * 1e6, 2),
        "ingest_memory_bytes": max(sample.memory.get(INGEST, 0) for sample in samples),
        "cores_busy_by_others": round((machine - ours) / (window.end - window.begin), 2),
    }


def run(source: Source, transactions: int, partitions: int, runs: int) -> dict[str, Any]:
    """Both ways in turns, so many times."""
    with deployed(partitions) as first:
        sent = workload(source, transactions, first.home)
        champion.register(champion.fit(sent, first.config.feature_set), first.config)
        found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
        for _ in range(runs):
            for way in WAYS:
                found[way].append(measure(way, sent, partitions, first.config.mlflow))
                print(f"{way:<8} {found[way][-1]}", file=sys.stderr)
    medians = {
        name: {way: statistics.median(run[name] for run in found[way]) for way in WAYS}
        for name in ("tx_per_s", "ingest_tx_per_s", "ingest_cpu_us_per_tx")
    }
    ratios = {name: medians[name]["aligned"] / medians[name]["plain"] for name in medians}
    return {
        "transactions": len(sent),
        "labels": sent.labels,
        "data": sent.about,
        "partitions": partitions,
        **medians,
        "ratio": round(ratios["tx_per_s"], 3),
        "ingest_ratio": round(ratios["ingest_tx_per_s"], 3),
        "runs": found,
    }


def main() -> None:
    """Measure, print, and write the record if ``--json`` asks for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("TIDEMARK_HANDBOOK"), help="else TIDEMARK_HANDBOOK")
    parser.add_argument("--transactions", type=int, default=300_000)
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--runs", type=int, default=1, help="of each way; their median counts")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if asked.data is None:
        parser.error("where is the handbook's file? give --data or set TIDEMARK_HANDBOOK")
    made_on = provenance(["python", "-m", "tests.benchmarks.aligned_replay", *sys.argv[1:]])
    found = run(Source(asked.data, "handbook"), asked.transactions, asked.partitions, asked.runs)
    print(json.dumps({name: figure for name, figure in found.items() if name != "runs"}, indent=2))
    write_summary(asked.json, {**made_on, **found})


if __name__ == "__main__":
    main()
