"""Acceptance: archive, auditor and aligned replay over a whole file.

``python -m tests.parity.offline_store --data FILE --columns handbook --json OUT``

First the file is sent in disorder, with duplicates, while two workers run of which one is killed; the archive must then have every record
and decision once, and the auditor must find nothing. Then it is replayed aligned over eight partitions with two SCORE workers; now the
vectors must be those of the ideal order too, and every score that of ``tidemark backtest``.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.definitions import DAY
from features.history.columns import CANONICAL, parse_mapping
from features.history.datafile import read_transactions
from features.offline.parquet_tables import OfflineTable
from features.offline.storage import Storage
from streams.archive.archived_topics import ARCHIVED
from streams.messages.topics import DECISIONS, SCORING_LOG, TRANSACTIONS
from tests.benchmarks.report.provenance import provenance
from tests.parity.disorder import Disorder, disordered, send
from tests.run.deployment import Deployment, champion, deployed


def archived(deployment: Deployment, name: str, *columns: str) -> pa.Table:
    """The rows of a table of the archive."""
    schema = ARCHIVED[name].schema
    return OfflineTable(Storage.of(deployment.home / "offline"), name, schema).read(columns)


def distinct(table: pa.Table, *names: str) -> int:
    """How many different combinations of these columns there are."""
    return len(table.group_by(list(names)).aggregate([]))


def command(deployment: Deployment, *arguments: str, timeout: float = 1_800) -> str:
    """Runs a command that must succeed; returns what it said."""
    done = deployment.tidemark(*arguments, timeout=timeout)
    assert done.returncode == 0, f"tidemark {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


def audit(deployment: Deployment, *arguments: str) -> dict[str, Any]:
    """The auditor's findings."""
    file = deployment.home / "audit.json"
    command(deployment, "audit", "--all", "--json", str(file), *arguments)
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def in_disorder(table: pa.Table, home: Path, seed: int) -> dict[str, Any]:
    """The file in disorder, two workers, one of them killed."""
    plan = disordered(table, Disorder(), seed)
    with deployed(home, partitions=4) as deployment:
        champion(deployment.config)
        with deployment.running("worker"), ExitStack() as victims:
            victim = victims.enter_context(deployment.running("worker"))
            for sent in send(table, plan, deployment.config.kafka):
                if victim.poll() is None and sent > len(plan) // 3:
                    os.killpg(victim.pid, signal.SIGKILL)
            deployment.settle(timeout=1_200)
        began = time.monotonic()
        command(deployment, "archive", "--once")
        archiving = time.monotonic() - began
        records = archived(deployment, TRANSACTIONS.name, "partition", "offset", "kind", "transaction_id")
        decisions = archived(deployment, DECISIONS.name, "transaction_id")
        logged = archived(deployment, SCORING_LOG.name, "transaction_id")
        ids = pc.filter(records["transaction_id"], pc.equal(records["kind"], "transaction"))
        found = {
            "records_sent": len(plan),
            "records_archived": len(records),
            "records_archived_distinct": distinct(records, "partition", "offset"),
            "transactions": len(table),
            "transactions_archived_distinct": len(pc.unique(ids)),
            "decisions_archived": len(decisions),
            "decisions_archived_distinct": distinct(decisions, "transaction_id"),
            "scoring_log_archived": len(logged),
            "scoring_log_archived_distinct": distinct(logged, "transaction_id"),
            "seconds_to_archive": round(archiving, 1),
            "audit": audit(deployment, "--event-time"),
        }
    once = ("transactions_archived_distinct", "decisions_archived", "decisions_archived_distinct", "scoring_log_archived")
    assert all(found[name] == len(table) for name in once), found
    assert found["records_archived"] == found["records_archived_distinct"] == len(plan), found
    return found


def aligned(file: Path, home: Path) -> dict[str, Any]:
    """The ordered file over eight partitions; compares every score with the backtest's."""
    with deployed(home, partitions=8) as deployment:
        champion(deployment.config)
        with deployment.running("worker", "--stages", "labels,score"), deployment.running("worker", "--stages", "labels,score"):
            replayed = command(deployment, "replay", "--aligned", str(file), "--columns", "tidemark")
            # Profiles are nobody's yet.
            deployment.work_until_idle(timeout=1_200)
        audited = audit(deployment, "--event-time")
        scores = home / "scores.parquet"
        command(deployment, "backtest", str(file), "--columns", "tidemark", "--scores", str(scores))
        command(deployment, "archive", "--once")
        logged = archived(deployment, SCORING_LOG.name, "transaction_id", "probability", *deployment.config.feature_set.names)
        tested = pq.read_table(scores)
    names = ["transaction_id", "probability", *deployment.config.feature_set.names]
    ours, theirs = (rows.select(names).sort_by("transaction_id").combine_chunks() for rows in (logged, tested))
    # Bytes, for NaN is equal to NaN here.
    differing = [name for name in names[1:] if ours[name].to_numpy().tobytes() != theirs[name].to_numpy().tobytes()]
    assert ours["transaction_id"].equals(theirs["transaction_id"])
    assert not differing, differing
    return {
        "said": replayed.strip().splitlines()[-1],
        "compared_with_backtest": len(ours),
        "columns_that_differ": differing,
        "audit": audited,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("TIDEMARK_HANDBOOK"))
    parser.add_argument("--columns", default="handbook")
    parser.add_argument("--days", type=int, help="only the first so many days")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=["disorder", "aligned"])
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    file = asked.data.resolve()
    table = read_transactions(file, parse_mapping(asked.columns, None), None)
    if asked.days is not None:
        table = table.filter(pc.less(table["event_time"], pc.min(table["event_time"]).as_py() // DAY * DAY + asked.days * DAY))
    found: dict[str, Any] = provenance(["python", "-m", "tests.parity.offline_store", *sys.argv[1:]])
    with tempfile.TemporaryDirectory(prefix="tidemark-offline-") as folder:
        if asked.only != "aligned":
            found["in_disorder"] = in_disorder(table, Path(folder) / "disorder", asked.seed)
        if asked.only != "disorder":
            part = Path(folder) / "part.parquet"
            pq.write_table(table.select([name for name in CANONICAL.names if name != "label_time"]), part)
            found["aligned"] = aligned(part, Path(folder) / "aligned")
    text = json.dumps(found, indent=1)
    print(text)
    if asked.json:
        asked.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
