"""``bench backfill``: what ``tidemark backfill`` costs, Spark's start included, on archives of some size and of about twice as many users.

A tenth of all transactions is at one merchant. Seconds, and CPU seconds of all its processes, for on a busy machine only those say much.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc

from features.backfill.tables import vector_table
from features.definitions import DAY, FEATURE_SETS
from features.errors import UserError
from features.history.label_delay import parse_labels_after, with_label_times
from features.history.log import HistoryLog, vectors
from features.offline.parquet_tables import OfflineTable
from features.offline.storage import Storage
from streams.simulate import SimulationSpec, simulate
from tests.benchmarks.deployment.command import tidemark
from tests.benchmarks.figures import rates
from tests.made.archive import archive, records

_FEATURES = FEATURE_SETS["fraud_v2"]
_SKEW = 0.1
# A user of the simulation pays about twice a day.
_DAYS, _A_DAY = 183, 1.92
_BEGIN, _END, _FIRST_DAY = "2018-04-01", "2018-10-01", 17_622
_MEASURED = ("seconds", "cpu_seconds", "per_second", "largest_worker_mb")


@dataclass(frozen=True)
class Spec:
    """What to measure: an archive of about so many ``transactions`` each, backfilled ``runs`` times anew; the medians count.

    ``compared``: all vectors of the last run with those of the finished history.
    """

    transactions: tuple[int, ...] = (875_000, 1_750_000)
    runs: int = 3
    compared: bool = False

    def quick(self) -> "Spec":
        """The same within three minutes."""
        return replace(self, transactions=(min(*self.transactions, 875_000),), runs=1)


def run(spec: Spec, report: Callable[[str], None]) -> dict[str, Any]:
    """Measures and returns the figures; ``report`` gets a line after each run. Raises UserError if a backfill fails or, ``compared``, a
    vector differs."""
    sizes = {}
    for transactions in spec.transactions:
        with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder:
            table, made = town(transactions), Path(folder) / "made"
            archive(Storage.of(made), records(table))
            runs = []
            for number in range(spec.runs):
                # What a run has computed the next would not compute again.
                home = Path(folder) / f"run-{number}"
                shutil.copytree(made, home / "offline")
                runs.append(measure(len(table), home))
                report(_line(runs[-1]))
                if spec.compared and number == spec.runs - 1:
                    _require_equal(table, Storage.of(home / "offline"))
                shutil.rmtree(home)
            medians = {name: rates.spread([run[name] for run in runs])["median"] for name in _MEASURED}
            equal = {"equal_to_the_history": True} if spec.compared else {}
            sizes[str(transactions)] = {"transactions": len(table), **medians, **equal, "runs": runs}
    return {"features": _FEATURES.name, "days": _DAYS, "share_of_the_largest_merchant": _SKEW, "sizes": sizes}


def town(transactions: int) -> pa.Table:
    """About so many in half a year, a tenth of them at one merchant, frauds known after a week."""
    users = max(1, round(transactions / _DAYS / _A_DAY))
    table = simulate(SimulationSpec(seed=0, users=users, merchants=2 * users, start_ms=_FIRST_DAY * DAY, days=_DAYS))
    large = pa.array(np.random.default_rng(0).random(len(table)) < _SKEW)
    at = table.schema.get_field_index("merchant_id")
    table = table.set_column(at, "merchant_id", pc.if_else(large, "the large one", table["merchant_id"]))
    return with_label_times(table, parse_labels_after("7d", labelled=True))


def measure(transactions: int, home: Path) -> dict[str, Any]:
    """One backfill of everything that is in the store ``home/offline``. Raises UserError if it fails."""
    command = ["backfill", "--features", _FEATURES.name, "--from", _BEGIN, "--to", _END, "--store", str(home / "offline")]
    started = time.monotonic()
    with subprocess.Popen(
        tidemark(*command),
        env={**os.environ, "TIDEMARK_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            cpu, memory = _used(process)
        finally:
            process.kill()
    seconds = time.monotonic() - started
    if process.returncode:
        raise UserError(f"tidemark backfill ended with status {process.returncode}; fix what its message above says and measure again")
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "per_second": round(transactions / seconds),
        "largest_worker_mb": memory >> 20,
        "load_average_after": round(os.getloadavg()[0], 2),
    }


def _line(measured: dict[str, Any]) -> str:
    seconds, cpu, memory = (measured[name] for name in ("seconds", "cpu_seconds", "largest_worker_mb"))
    return f"{seconds:.1f} s, {measured['per_second']:,} transactions/s; {cpu:.1f} s of CPU, largest worker {memory} MB"


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


def _require_equal(table: pa.Table, store: Storage) -> None:
    target = vector_table(_FEATURES)
    found = OfflineTable(store, target.name, target.schema).dataset().to_table()
    log = HistoryLog.from_table(table)
    place = pc.index_in(table["transaction_id"].take(pa.array(log.order)), found["transaction_id"].combine_chunks()).to_numpy()
    given = np.column_stack([found[name].to_numpy()[place] for name in _FEATURES.names])
    if len(found) != len(place) or given.tobytes() != vectors(log, _FEATURES).tobytes():
        raise UserError("the backfill's vectors are not those of the finished history; fix that before you measure")
