"""How long `tidemark outcomes` takes: for a whole archive at once, for nothing new, and for one more night.

    python -m tests.benchmarks.outcomes --json docs/results/outcomes.json

archives the file that TIDEMARK_HANDBOOK names as if it had been decided by the amount alone, by day, with a chargeback of each fraud one to
nine days later; the same file several times, of other users, makes it larger (--times). Peak memory is that of the command's process.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions import DAY
from features.history.columns import parse_mapping
from features.history.datafile import read_transactions
from features.offline.parquet_tables import OfflineTable, write_file
from features.offline.storage import Storage
from streams.archive.archived_topics import ARCHIVED
from streams.archive.rows.tables import by_day, times
from tests.benchmarks.report.provenance import provenance

# Its peak memory, in kB, is the last thing that it prints.
_ONCE = """
import sys
from api.cli import main
try:
    main()
finally:
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def archived(topic: str, columns: Mapping[str, object], rows: int) -> pa.Table:
    """Rows of that topic's table; what isn't given is null."""
    schema = ARCHIVED[topic].schema
    given = {**columns, "event_timestamp": times(np.asarray(columns["event_time"]))}
    arrays = [pa.nulls(rows, field.type) if field.name not in given else pa.array(given[field.name]).cast(field.type) for field in schema]
    return pa.table(arrays, schema=schema)


def tables(table: pa.Table, round_: int) -> Mapping[str, pa.Table]:
    """Scoring log, decisions, labels and their copies for the file's transactions, with users of that round's."""
    n = len(table)
    rng = np.random.default_rng(round_)
    amount, fraud = table["amount"].to_numpy(), table["is_fraud"].to_numpy().astype(bool)
    keys = {
        "transaction_id": table["transaction_id"],
        "user_id": pc.binary_join_element_wise(table["user_id"], f"r{round_}", "-"),
        "merchant_id": table["merchant_id"],
        "event_time": table["event_time"].to_numpy(),
        "partition": np.full(n, round_ % 4, np.int32),
        "offset": np.arange(n),
        "timestamp": table["event_time"].to_numpy(),
    }
    model = {
        name: pa.repeat(text, n)
        for name, text in {
            "model_version": "1",
            "model_digest": "m",
            "policy_digest": "p",
            "variant": "champion",
            "origin": "stream",
        }.items()
    }
    action = np.where(amount > 22_000, "block", np.where(amount > 15_000, "review", "approve"))
    common = {**keys, **model, "probability": np.clip(amount / 50_000, 0, 1)}
    log = archived("scoring-log", {**common, "amount_minor": amount, "row": np.zeros(n, np.int32)}, n)
    decisions = archived(
        "decisions", {**common, "amount": amount, "decision": action, "decided_at": keys["event_time"], "degraded": np.zeros(n, bool)}, n
    )
    labelled = {
        name: pa.array(column).filter(pa.array(fraud)) if not isinstance(column, pa.ChunkedArray) else column.filter(pa.array(fraud))
        for name, column in keys.items()
    }
    frauds = int(fraud.sum())
    came = {
        "label_time": keys["event_time"][fraud] + rng.integers(DAY, 9 * DAY, frauds),
        "is_fraud": np.ones(frauds, bool),
        "source": pa.repeat("chargeback", frauds),
    }
    labels = archived("labels", {**labelled, **came}, frauds)
    copies = archived("transactions", {**labelled, **came, "kind": pa.repeat("label", frauds)}, frauds)
    sent = archived("transactions", {**keys, "kind": pa.repeat("transaction", n), "amount": amount}, n)
    return {"scoring-log": log, "decisions": decisions, "labels": labels, "transactions": pa.concat_tables([sent, copies])}


def archive(store: Storage, number: int, content: Mapping[str, pa.Table]) -> None:
    """Archives these rows, a file a day."""
    for topic, rows in content.items():
        offline = OfflineTable(store, topic, ARCHIVED[topic].schema)
        files = [write_file(offline.storage, day, f"{number:06d}", of_day) for day, of_day in by_day(rows)]
        assert offline.commit(files, "archive", number)


def timed(home: Path, *arguments: str) -> dict[str, object]:
    """Seconds, peak memory and what was written, of the command in a process of its own."""
    out = home / "summary.json"
    before = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _ONCE, "outcomes", "--json", str(out), *arguments],
        env={**os.environ, "TIDEMARK_HOME": str(home), "TIDEMARK_QUIET": "1"},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    seconds = time.monotonic() - before
    said = json.loads(out.read_text())
    return {
        "process_seconds": round(seconds, 2),
        "seconds": said["seconds"],
        "peak_memory_mb": int(done.stdout.split()[-1]) // 1024,
        "days_written": len(said["written"]),
        "decisions": sum(said["outcomes"].values()),
    }


def measure(file: Path, rounds: int) -> dict[str, object]:
    """The three runs."""
    table = read_transactions(file, parse_mapping("handbook", None), "7d")
    last = datetime.fromtimestamp(pc.max(table["event_time"]).as_py() / 1_000, UTC).date()
    with tempfile.TemporaryDirectory(prefix="tidemark-outcomes-") as folder:
        home = Path(folder)
        for round_ in range(rounds):
            archive(Storage.of(home / "offline"), round_ + 1, tables(table, round_))
        night_before = (last,)
        found = {
            "all_but_the_last_day": timed(home, "--as-of", night_before[0].isoformat()),
            "nothing_new": timed(home, "--as-of", night_before[0].isoformat()),
            "one_more_night": timed(home, "--as-of", (last + timedelta(days=1)).isoformat()),
        }
    return {"transactions": rounds * len(table), **found}


def main() -> None:
    """Measures, and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--times", type=int, default=1)
    chosen = parser.parse_args()
    found = {
        **provenance(["python", "-m", "tests.benchmarks.outcomes", *sys.argv[1:]]),
        **measure(Path(os.environ["TIDEMARK_HANDBOOK"]), chosen.times),
    }
    text = json.dumps(found, indent=2)
    if chosen.json:
        chosen.json.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
