"""What an aligned replay costs: the same file replayed plainly and aligned, in one run, over the same number of partitions.

    python -m tests.benchmarks.aligned_replay --transactions 300000 --json docs/results/aligned-replay.json

reads the file that TIDEMARK_HANDBOOK names (or --data). Each way has empty topics of its own, and its topic is full before INGEST and SCORE
start: so their rates are their own and not the sender's. The ratio is that of the rates at which SCORE decides.
"""

import argparse
import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from api.bench import champion, decisions, stream
from api.bench.deployment import deployed, require_alive
from api.bench.provenance import provenance
from api.bench.sampling import sampling
from api.bench.workload import Source, Workload, workload
from api.cli.conventions import write_summary
from streams.aligned_replay import name_of
from streams.replay import Aligned, replay
from streams.replay_plan import plan_replay
from streams.stages import INGEST, LABELS_COPY, SCORE
from streams.worker import Worker

WAYS = ("plain", "aligned")


def measure(way: str, sent: Workload, partitions: int, registry: str) -> dict[str, Any]:
    """The figures of one run (see ``api.bench.stream.figures``)."""
    with deployed(partitions, registry) as deployment:
        config, plan = deployment.config, plan_replay(sent.table)
        name = name_of(sent.source.file)
        replay(sent.table, plan, config.kafka, aligned=Aligned(name, len(plan), range(partitions)) if way == "aligned" else None)
        ingest = (
            Worker(config, (INGEST,), "streams.aligned_process", (name,), finite=True) if way == "aligned" else Worker(config, (INGEST,))
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
        return stream.figures(deployment, sampler, tuple(stages))


def run(source: Source, transactions: int, partitions: int, runs: int) -> dict[str, Any]:
    """Both ways in turns, so many times."""
    with deployed(partitions) as first:
        sent = workload(source, transactions, first.home)
        champion.register(champion.fit(sent, first.config.feature_set), first.config)
        found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
        for _ in range(runs):
            for way in WAYS:
                found[way].append(measure(way, sent, partitions, first.config.mlflow))
                print(f"{way:<8} {found[way][-1]['tx_per_s']:>9,.0f} tx/s", file=sys.stderr)
    rates = {way: statistics.median(run["tx_per_s"] for run in found[way]) for way in WAYS}
    return {
        "transactions": len(sent),
        "labels": sent.labels,
        "data": sent.about,
        "partitions": partitions,
        "tx_per_s": rates,
        "ratio": round(rates["aligned"] / rates["plain"], 3),
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
    print(json.dumps({name: found[name] for name in ("tx_per_s", "ratio")}, indent=2))
    write_summary(asked.json, {**made_on, **found})


if __name__ == "__main__":
    main()
