"""``bench recovery``: how long after ``kill -9`` of a worker its successor decides.

Every user has some transactions, all saved; then the load is open, and the whole worker is killed. Its successor, started at once, waits
until the dead one's session is over (6 s), reads the states, and applies again what came after them. What counts is when the first
decision made after the kill reaches an independent ``read_committed`` consumer. Each transaction must be decided exactly once.
"""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.arrays import Float64, Int64
from features.definitions import DAY
from features.errors import UserError
from streams.config import INGEST
from streams.simulate import SIMULATED
from tests.benchmarks.deployment import champion
from tests.benchmarks.deployment.command import tidemark
from tests.benchmarks.deployment.deployment import Deployment, deployed, require_alive, wait_until_assigned
from tests.benchmarks.deployment.killable import KillableWorker, killable, recovered
from tests.benchmarks.figures import delays, rates
from tests.benchmarks.load import generator
from tests.benchmarks.load.arrivals import Watch
from tests.benchmarks.load.child import child, line, wait_until_ready
from tests.benchmarks.load.workload import Workload, workload, written
from tests.benchmarks.measures.stream import finish, replaying

_PATIENCE_S = 120.0
_SAVED_WITHIN_S = 240.0
_MERCHANTS = 5_000
_FEWEST = 20_000
# The load's event time goes on from here, so that nobody has become idle.
_END_MS, _SPAN_MS = 17_622 * DAY, 10 * DAY


@dataclass(frozen=True)
class Spec:
    """What to measure: with so many ``users`` each, who have ``each`` transactions on average, ``runs`` kills whose medians count.

    ``rate`` transactions a second are sent for ``before`` s, then the worker is killed, and for ``after`` s more.
    """

    users: tuple[int, ...] = (100_000, 1_000_000)
    each: int = 2
    rate: int = 1_000
    before: int = 20
    after: int = 30
    partitions: int = 4
    runs: int = 3

    def quick(self) -> "Spec":
        """The same within three minutes."""
        return replace(self, users=(min(*self.users, 50_000),), before=min(self.before, 15), after=min(self.after, 20), runs=1)

    @property
    def load(self) -> int:
        """How many transactions are sent for one kill."""
        return self.rate * (self.before + self.after)


def run(spec: Spec, report: Callable[[str], None]) -> dict[str, Any]:
    """Measures and returns the figures (s); ``report`` gets a line after each kill. Raises UserError or ServiceError where a measurement
    isn't one: a worker failed, a transaction was not decided exactly once."""
    found = {}
    for users in spec.users:
        runs = []
        with deployed(spec.partitions) as deployment, ExitStack() as ended:
            sent = workload(None, max(_FEWEST, spec.runs * spec.load), deployment.home)
            champion.register(champion.fit(sent, deployment.config.feature_set), deployment.config)
            _save_states(deployment, users, spec.each)
            worker = ended.enter_context(killable(deployment, deployment.home / "worker-0.log"))
            wait_until_assigned(deployment, worker.pids)
            for number in range(spec.runs):
                kill = _Kill(deployment, sent, number * spec.load, spec)
                worker = kill.succeeded(worker, ended, deployment.home / f"worker-{number + 1}.log")
                report(_line(users, kill.figures))
                runs.append(kill.figures)
        found[str(users)] = _summary(users * spec.each, runs)
    return {"partitions": spec.partitions, "rate": spec.rate, "load_before_s": spec.before, "users": found}


@dataclass
class _Kill:
    """One kill under a load of ever new transactions, from row ``first`` of a workload on."""

    deployment: Deployment
    sent: Workload
    first: int
    spec: Spec
    figures: dict[str, Any] = field(default_factory=dict)

    def succeeded(self, worker: KillableWorker, ended: ExitStack, log: Path) -> KillableWorker:
        """Kills the worker; returns its successor, which is through with all, and leaves the figures."""
        config, spec = self.deployment.config, self.spec
        file = self.deployment.home / "arrivals.parquet"
        watch = Watch(kafka=config.kafka, count=spec.load, file=str(file), patience_s=_PATIENCE_S)
        load = generator.Load(kafka=config.kafka, file=str(self.sent.source.file), first=self.first, count=spec.load, rate=spec.rate)
        with child("tests.benchmarks.load.arrivals", watch) as arrivals:
            wait_until_ready(arrivals, "the consumer of the decisions")
            with generator.generating(load) as generating:
                time.sleep(spec.before)
                require_alive(worker.pids)
                worker.kill()
                died = time.time() * 1000
                successor = ended.enter_context(killable(self.deployment, log))
                sent = generator.outcome(generating)
            line(arrivals)
        require_alive(successor.pids)
        ids = self.sent.table["transaction_id"].slice(load.first, load.count).to_pylist()
        arrived = pq.read_table(file)
        due = delays.due_of(arrived, ids, sent.start_ms + generator.due(load))
        waits = waited(died, arrived["decided_at"].to_numpy(), arrived["arrived_at"].to_numpy(), due)
        self.figures = {**waits, "states": recovered(log.read_text(errors="replace").splitlines())}
        return successor


def waited(died: float, decided_at: Int64, arrived_at: Float64, due: Float64) -> dict[str, float]:
    """From the kill to the arrival of the first decision that was made after it, and the longest that a transaction waited for its own, in
    s; all times in ms UTC. Raises UserError if nothing was decided after the kill."""
    after = decided_at > died
    if not after.any():
        raise UserError("all was decided before the worker was killed; say a larger --after")
    return {
        "kill_to_first_decision_s": round(float(arrived_at[after].min() - died) / 1000, 2),
        "longest_wait_s": round(float((arrived_at - due).max()) / 1000, 2),
    }


def _save_states(deployment: Deployment, users: int, each: int) -> None:
    """Sends the users' transactions and has a worker decide them all, and save all states."""
    sent = _history(users, each, deployment.home / "history.parquet")
    with replaying(deployment, sent) as replay:
        finish(replay)
    log = deployment.home / "saving.log"
    with log.open("wb") as out:
        try:
            done = subprocess.run(
                tidemark("worker", "--until-idle"),
                env=deployment.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=_SAVED_WITHIN_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise UserError(f"the worker isn't through with {len(sent):,} transactions after {_SAVED_WITHIN_S:.0f} s") from None
    if done.returncode:
        raise UserError(f"the worker ended with status {done.returncode}; the end of its log: {log.read_text(errors='replace')[-1_000:]}")


def _history(users: int, each: int, file: Path) -> Workload:
    rng = np.random.default_rng(0)
    order = rng.permutation(np.repeat(np.arange(users), each))
    count = len(order)
    columns: dict[str, Any] = {
        "transaction_id": [f"h{i}" for i in range(count)],
        "event_time": _END_MS - _SPAN_MS + np.arange(count) * _SPAN_MS // count,
        "user_id": [f"user-{user}" for user in order.tolist()],
        "merchant_id": [f"m{user % _MERCHANTS}" for user in order.tolist()],
        "amount": rng.integers(100, 20_000, count),
        "currency": ["EUR"] * count,
    }
    arrays = [pa.array(columns[each.name], each.type) if each.name in columns else pa.nulls(count, each.type) for each in SIMULATED]
    return written(pa.table(arrays, schema=SIMULATED), file, f"{users:,} users")


def _summary(transactions: int, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the kills on top, the spread, and each kill."""
    spread = {name: rates.spread([run[name] for run in runs]) for name in ("kill_to_first_decision_s", "longest_wait_s")}
    ingest = {name: rates.spread([run["states"][INGEST][name] for run in runs])["median"] for name in ("keys", "applied_again", "seconds")}
    medians = {name: values["median"] for name, values in spread.items()}
    return {"transactions": transactions, **medians, INGEST: ingest, "spread": spread, "runs": list(runs)}


def _line(users: int, figures: Mapping[str, Any]) -> str:
    ingest = figures["states"][INGEST]
    return (
        f"{users:>9,} users  decided again after {figures['kill_to_first_decision_s']:.1f} s; INGEST read {ingest['keys']:,} states "
        f"and applied {ingest['applied_again']:,} records again in {ingest['seconds']:.1f} s"
    )
