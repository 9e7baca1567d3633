"""What a backfill costs: ``python -m tests.benchmarks.backfill --json docs/results/backfill.json``.

Makes up the archive of a town, twice: of some size and of twice as many users. Each is backfilled by the command, Spark's start included, a
tenth of all transactions being at one merchant; seconds, and CPU seconds of all its processes, for on a busy machine only those say much.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc

from api.bench.provenance import provenance
from features.backfill_tables import vector_table
from features.definitions import DAY, FEATURE_SETS
from features.history import HistoryLog, vectors
from features.parquet_offline import OfflineTable
from features.storage import Storage
from streams.label_delay import parse_labels_after, with_label_times
from streams.simulate import SimulationSpec, simulate
from tests.features.archived import archive, records

_FEATURES = FEATURE_SETS["fraud_v2"]
_SKEW = 0.1
# A user of the simulation pays about twice a day.
_DAYS, _A_DAY = 183, 1.92


def town(transactions: int) -> pa.Table:
    """About so many in half a year, a tenth of them at one merchant, frauds known after a week."""
    users = round(transactions / _DAYS / _A_DAY)
    table = simulate(SimulationSpec(seed=0, users=users, merchants=2 * users, start_ms=17_622 * DAY, days=_DAYS))
    large = pa.array(np.random.default_rng(0).random(len(table)) < _SKEW)
    at = table.schema.get_field_index("merchant_id")
    table = table.set_column(at, "merchant_id", pc.if_else(large, "the large one", table["merchant_id"]))
    return with_label_times(table, parse_labels_after("7d", labelled=True))


def measure(transactions: int, home: Path, compared: bool) -> dict[str, Any]:
    """One backfill of everything; its vectors are compared with the finished history's if asked."""
    table, store = town(transactions), Storage.of(home)
    archive(store, records(table))
    run = "from api.cli import main; main()"
    span = ("--from", "2018-04-01", "--to", "2018-10-01", "--store", str(home), "--json", str(home / "run.json"))
    started = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", run, "backfill", "--features", _FEATURES.name, *span]) as process:
        cpu, memory = _used(process)
    seconds = time.monotonic() - started
    if process.returncode:
        raise RuntimeError(f"tidemark backfill ended with {process.returncode}")
    figures = {
        "transactions": len(table),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "per_second": round(len(table) / seconds),
    }
    figures["largest_worker_mb"] = memory >> 20
    if compared:
        figures["equal_to_the_history"] = _equal(table, store)
    figures["load_average_after"] = round(os.getloadavg()[0], 2)
    return figures


def _used(process: "subprocess.Popen[bytes]") -> tuple[float, int]:
    """CPU seconds of the process and all below it until it ends, and the most memory (bytes) that one of Spark's Python workers took.

    Nobody waits for Spark's processes, so they are looked at while they run.
    """
    used: dict[int, float] = {}
    memory = 0
    top = psutil.Process(process.pid)
    while process.poll() is None:
        for one in _family(top):
            with suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                used[one.pid] = times.user + times.system
                if one.pid != top.pid and "python" in one.name():
                    memory = max(memory, one.memory_info().rss)
        time.sleep(0.2)
    return sum(used.values()), memory


def _family(top: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return [top, *top.children(recursive=True)]
    return []


def _equal(table: pa.Table, store: Storage) -> bool:
    target = vector_table(_FEATURES)
    found = OfflineTable(store, target.name, target.schema).dataset().to_table()
    log = HistoryLog.from_table(table)
    place = pc.index_in(table["transaction_id"].take(pa.array(log.order)), found["transaction_id"].combine_chunks()).to_numpy()
    given = np.column_stack([found[name].to_numpy()[place] for name in _FEATURES.names])
    return len(found) == len(place) and given.tobytes() == vectors(log, _FEATURES).tobytes()


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transactions", type=int, nargs="+", default=[875_000, 1_750_000])
    parser.add_argument("--compare", action="store_true", help="compare all vectors with the finished history's")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    made_on = provenance(["python", "-m", "tests.benchmarks.backfill", *sys.argv[1:]])
    runs = []
    for transactions in arguments.transactions:
        home = Path(tempfile.mkdtemp(prefix="tidemark-backfill-bench-"))
        try:
            runs.append(measure(transactions, home, arguments.compare))
        finally:
            shutil.rmtree(home)
        print(json.dumps(runs[-1]), flush=True)
    if arguments.json:
        record = {**made_on, "features": _FEATURES.name, "share_of_the_largest_merchant": _SKEW, "runs": runs}
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    _main()
