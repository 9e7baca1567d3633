"""Acceptance: the handbook's file with 5 % duplicates and up to ten minutes of disorder, two workers, one of them killed; then the audit.

python -m tests.benchmarks.handbook_audit --days 153 --json docs/results/handbook-audit.json
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from api.bench.provenance import provenance
from api.cli.conventions import write_summary
from features.definitions import DAY, MINUTE
from features.log_order import TRANSACTION, replay_order
from streams.columns import parse_mapping
from streams.datafile import read_transactions
from streams.replay import LABEL_HEADER
from streams.replay_messages import encode_labels, encode_transactions
from tests.deployment import Deployment, champion, deployed, eventually

DISORDER_MS, DUPLICATES = 10 * MINUTE, 0.05
_AT_ONCE = 50_000


class Sent(NamedTuple):
    """A record to send."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def disordered(table: pa.Table, seed: int = 0) -> list[Sent]:
    """Transactions and labels by time, each transaction up to ten minutes late, some of them twice."""
    rng = np.random.default_rng(seed)
    event_time, label_time = table["event_time"].to_numpy(), table["label_time"].cast(pa.int64())
    kind, row = replay_order(event_time, pc.fill_null(label_time, 0).to_numpy(), label_time.is_valid().to_numpy())
    arrival = np.where(kind == TRANSACTION, event_time[row], pc.fill_null(label_time, 0).to_numpy()[row]).astype(np.int64)
    again = np.flatnonzero((kind == TRANSACTION) & (rng.random(len(kind)) < DUPLICATES))
    kind, row, arrival = (np.concatenate([column, column[again]]) for column in (kind, row, arrival))
    arrival += np.where(kind == TRANSACTION, rng.integers(0, DISORDER_MS, len(kind)), 0)
    labelled = np.flatnonzero(label_time.is_valid().to_numpy())
    labels = dict(zip(labelled.tolist(), encode_labels(table.take(pa.array(labelled))), strict=True))
    transactions, users = encode_transactions(table), [user.encode() for user in table["user_id"].to_pylist()]
    order = np.argsort(arrival, kind="stable")
    return [
        Sent(users[r], transactions[r], []) if k == TRANSACTION else Sent(users[r], labels[r], [LABEL_HEADER])
        for k, r in zip(kind[order].tolist(), row[order].tolist(), strict=True)
    ]


def send(deployment: Deployment, records: list[Sent]) -> None:
    """As many at a time as a producer takes."""
    for begin in range(0, len(records), _AT_ONCE):
        deployment.send(records[begin : begin + _AT_ONCE])


def run(deployment: Deployment, records: list[Sent], more: list[str]) -> dict[str, Any]:
    """Decides all with two workers, one of which is killed half-way, and audits every decision."""
    half = len(records) // 2
    with deployment.running("worker") as killed, deployment.running("worker"):
        send(deployment, records[:half])
        eventually(lambda: bool(deployment.read("scoring-log")), timeout=120, what="the first decisions")
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
        send(deployment, records[half:])
        deployment.settle(timeout=1_800)
    out = deployment.home / "audit.json"
    done = deployment.tidemark("audit", "--all", "--json", str(out), *more, timeout=3_600)
    if not out.exists():
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(out.read_text())
    return {**found, "exit_code": done.returncode}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("TIDEMARK_HANDBOOK"), help="else TIDEMARK_HANDBOOK")
    parser.add_argument("--days", type=int, default=153, help="the first so many days of the file")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if asked.data is None:
        parser.error("where is the handbook's file? give --data or set TIDEMARK_HANDBOOK")
    made_on = provenance(["python", "-m", "tests.benchmarks.handbook_audit", *sys.argv[1:]])
    table = read_transactions(asked.data, parse_mapping("handbook"), "7d")
    table = table.filter(pc.less(table["event_time"], pc.min(table["event_time"]).as_py() + asked.days * DAY))
    with tempfile.TemporaryDirectory() as folder, deployed(Path(folder) / "home") as deployment:
        champion(deployment.config)
        records = disordered(table)
        found = run(deployment, records, ["--event-time"])
    passed = not found["exit_code"] and found["audited"] == len(table) and not found["mismatches"]
    write_summary(asked.json, {**found, **made_on, "passed": passed, "records": len(records), "transactions": len(table)})
    print(f"{found['audited']:,} of {len(table):,} transactions audited, {found['mismatches']:,} mismatches, in {found['seconds']:.0f} s")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
