"""Acceptance: the handbook's whole file replayed while workers run; an independent consumer finds one decision for each transaction.

python -m tests.benchmarks.handbook_replay --json docs/results/handbook-replay.json
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from api.cli.conventions import write_summary
from streams.kafka.client import KafkaClients, TopicPartition
from streams.messages.topics import DEAD_LETTERS, DECISIONS, TRANSACTIONS
from tests.benchmarks.deployment import champion
from tests.benchmarks.deployment.deployment import deployed
from tests.benchmarks.java_consumer import committed_values
from tests.benchmarks.load.workload import Source, workload
from tests.benchmarks.measures import stream
from tests.benchmarks.report.provenance import provenance

EXPECTED = 1_466_282


class _Decision(msgspec.Struct):
    transaction_id: str
    decision: str


def count_decisions(kafka: str) -> dict[str, int]:
    """What Kafka's console consumer reads: decisions, of how many distinct transactions, and dead letters."""
    decode = msgspec.json.Decoder(_Decision).decode
    ids: set[str] = set()
    decisions = 0
    with committed_values(kafka, DECISIONS.name) as values:
        for value in values:
            ids.add(decode(value).transaction_id)
            decisions += 1
    with committed_values(kafka, DEAD_LETTERS.name) as values:
        dead_letters = sum(1 for _ in values)
    return {"decisions": decisions, "distinct_transactions": len(ids), "dead_letters": dead_letters}


def run(handbook: Path, partitions: int) -> dict[str, Any]:
    """Replays the file at full speed with workers running and returns rates and counts."""
    with deployed(partitions) as deployment:
        sent = workload(Source(handbook, "handbook"), None, deployment.home)
        champion.register(champion.fit(sent, deployment.config.feature_set), deployment.config)
        measured = stream.measure(deployment, sent, "replayed")
        counted = count_decisions(deployment.config.kafka)
        return {
            "inputs": len(sent),
            "labels": sent.labels,
            "records_on_transactions": _records(deployment.config.kafka),
            **counted,
            "consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer --isolation-level read_committed",
            "partitions": partitions,
            "model": {"trees": champion.TREES, "max_depth": champion.DEPTH},
            **{name: figure for name, figure in measured.items() if name not in counted},
        }


def _records(kafka: str) -> int:
    consumer = KafkaClients(kafka).consumer({"group.id": "handbook-replay"})
    try:
        partitions = consumer.list_topics(TRANSACTIONS.name, timeout=10).topics[TRANSACTIONS.name].partitions
        return sum(consumer.get_watermark_offsets(TopicPartition(TRANSACTIONS.name, partition))[1] for partition in partitions)
    finally:
        consumer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("TIDEMARK_HANDBOOK"), help="else TIDEMARK_HANDBOOK")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if asked.data is None:
        parser.error("where is the handbook's file? give --data or set TIDEMARK_HANDBOOK")
    made_on = provenance(["python", "-m", "tests.benchmarks.handbook_replay", *sys.argv[1:]])
    found = run(asked.data, asked.partitions)
    passed = found["inputs"] == found["decisions"] == found["distinct_transactions"] == EXPECTED and not found["dead_letters"]
    write_summary(asked.json, {**made_on, "passed": passed, **found})
    print(
        f"{found['inputs']:,} transactions and {found['labels']:,} labels in, {found['decisions']:,} decisions on "
        f"{found['distinct_transactions']:,} transactions and {found['dead_letters']:,} dead letters out; "
        f"{found['tx_per_s']:,.0f} tx/s sustained while replaying"
    )
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
