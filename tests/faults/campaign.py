"""The campaign: faults of all kinds under load, then the oracle. ``python -m tests.faults.campaign`` runs all of it and prints a table."""

import argparse
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import msgspec
import redis

from infra.local import kafka, processes, services
from infra.local import redis as redis_server
from infra.local.processes import Slot
from models.registry import mlflow_registry
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.messages.seal import Seal
from streams.messages.topics import STATE_MERCHANTS, STATE_USERS
from streams.workers.kafka_idle import IdleWatch
from streams.workers.stages import STAGES
from tests.benchmarks.report.provenance import provenance
from tests.faults import hostile
from tests.faults.fleet import Fleet
from tests.faults.hostile import Hostile, HostileSender
from tests.faults.oracle import FaultVerdict, Oracle
from tests.faults.stage import FAILING, Order
from tests.faults.traffic import Message, Sender
from tests.run.deployment import Deployment, champion, deployed
from tests.run.flaky_kafka import FlakyNetwork, flaky

_SETTLE_S = 400


@dataclass
class World:
    """A deployment under load, with what an injector needs."""

    deployment: Deployment
    fleet: Fleet
    sender: Sender
    random: Random
    times: int
    network: FlakyNetwork | None = None
    versions: list[str] = field(default_factory=lambda: ["1"])
    recoveries: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def committed(self, stage: str) -> int:
        """How far a stage has come, all partitions together."""
        log = KafkaLog(KafkaClients.of(self.deployment.config), self.deployment.config.group(stage))
        try:
            partitions = range(4)
            return sum(log.committed(STAGES[stage].topic.name, partition) or 0 for partition in partitions)
        finally:
            log.close()

    def recover(self, stage: str = "score", patience: float = 90.0) -> None:
        """Waits until a stage commits again, and notes how long that took."""
        began, before = time.monotonic(), self.committed(stage)
        while self.committed(stage) <= before:
            self.fleet.watch(0.2)
            assert time.monotonic() < began + patience, f"{stage} didn't go on within {patience:.0f} s"
        self.recoveries.append(time.monotonic() - began)

    def pause(self, least: float = 0.5, most: float = 3.0) -> None:
        """Lets the stream run for some time."""
        self.fleet.watch(self.random.uniform(least, most))


Inject = Callable[[World], int]


def kills(world: World) -> int:
    """kill -9 of a stage or of a whole worker, at any moment."""
    for _ in range(world.times):
        world.pause()
        victim = world.random.choice(["ingest", "ingest", "score", "score", "labels", "worker"])
        if victim == "worker":
            world.fleet.kill_worker()
        else:
            world.fleet.kill_stage(victim)
        world.recover("ingest" if victim == "ingest" else "score")
    world.notes += [_compaction(world, topic.name) for topic in (STATE_USERS, STATE_MERCHANTS)]
    world.notes.append(f"the last ten recoveries: {statistics.median(world.recoveries[-10:]):.1f} s (median)")
    return world.times


def _compaction(world: World, topic: str) -> str:
    log = KafkaLog(KafkaClients.of(world.deployment.config), "campaign")
    try:
        written = left = 0
        keys: set[bytes] = set()
        for partition in range(4):
            begin, end = log.bounds(topic, partition)
            written += end
            for records in log.read(topic, partition, begin, end):
                left += len(records)
                keys |= {record.key or b"" for record in records}
        return f"{topic}: {written:,} offsets written, {left:,} records left of {len(keys):,} keys"
    finally:
        log.close()


POINTS = {
    "labels": ("produce transactions", "flush", "commit positions"),
    "ingest": (
        *("produce transactions.by-merchant", "flush", "commit positions", "begin transaction", "produce state.users", "send offsets"),
        *("commit transaction", "claim", "project", "set projected"),
    ),
    "score": (
        *(
            "begin transaction",
            "produce decisions",
            "produce dead-letters",
            "produce scoring-log",
            "produce state.merchants",
            "send offsets",
        ),
        *("commit transaction", "claim", "project", "set projected"),
    ),
}


def crash_points(world: World) -> int:
    """A process dies right after each of its side effects, that is, between every two."""
    points = [(stage, point) for stage, each in POINTS.items() for point in each]
    if world.times < len(points):
        points = world.random.sample(points, world.times)
    for stage, point in points:
        if point == "claim":
            # That happens at an assignment only.
            world.fleet.kill_stage(stage)
        file = world.fleet.order(stage, Order(point, world.random.randrange(1, 4) if point != "claim" else 1))
        deadline = time.monotonic() + 60
        while file.exists():
            world.fleet.watch(0.1)
            assert time.monotonic() < deadline, f"{stage} never reached {point!r}"
        world.recover(stage)
    return len(points)


def zombies(world: World) -> int:
    """A stage stops for longer than its session lasts, another takes over, and it wakes up."""
    world.fleet.add()
    world.recover()
    for _ in range(world.times):
        world.pause()
        stage = world.random.choice(["ingest", "score"])
        world.fleet.stall(stage, world.random.uniform(7.0, 12.0))
        world.recover()
    return world.times


def terminations(world: World) -> int:
    """SIGTERM in the middle of the work; another worker starts."""
    slowest = 0.0
    for _ in range(world.times):
        world.pause()
        slowest = max(slowest, world.fleet.remove())
        world.fleet.add()
        world.recover()
    world.notes.append(f"SIGTERM to end at most {slowest:.1f} s")
    assert slowest < 10, f"a worker took {slowest:.1f} s to end"
    return world.times


def scaling(world: World) -> int:
    """One worker, three, one."""
    for _ in range(world.times):
        for _ in range(2):
            world.fleet.add()
            world.recover()
        world.pause()
        for _ in range(2):
            world.fleet.remove()
            world.recover()
    return 4 * world.times


def broker(world: World) -> int:
    """The broker is killed, or restarted cleanly."""
    for number in range(world.times):
        world.pause()
        slot = Slot(world.deployment.home, kafka.NAME)
        pid = processes.running_pid(slot)
        assert pid is not None
        if number % 2:
            processes.stop(slot, 30)
        else:
            os.kill(pid, signal.SIGKILL)
        world.fleet.watch(world.random.uniform(0.0, 5.0))
        services.up(world.deployment.home, report=lambda _line: None)
        world.recover(patience=180)
    return world.times


def online_store(world: World) -> int:
    """Redis is killed, wiped, restored from an old copy; and a worker dies while it is away."""
    home = world.deployment.home
    client = redis.Redis.from_url(world.deployment.config.redis)
    slot = Slot(home, redis_server.NAME)
    copy = home / redis_server.NAME / "dump.rdb"
    aside = home / "copy.rdb"
    for number in range(world.times):
        world.pause(2.0, 4.0)
        kind = number % 4
        if kind == 0:
            client.flushall()
        else:
            if kind == 1:
                client.save()
                copy.rename(aside)
                world.pause(2.0, 4.0)
            pid = processes.running_pid(slot)
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            if kind == 1:
                aside.rename(copy)
            if kind == 2:
                world.fleet.kill_worker()
            world.fleet.watch(world.random.uniform(0.5, 3.0))
            services.up(home, report=lambda _line: None)
            copy.unlink(missing_ok=True)
        world.recover()
    return world.times


def bursts(world: World) -> int:
    """Ten seconds' records in one go, and SCORE stands still."""
    for _ in range(world.times):
        world.pause()
        world.sender.burst(int(10 * world.sender.rate))
        world.fleet.stall("score", 4.0)
        world.recover()
    most = ", ".join(f"{stage} {size / 2**20:.0f} MB" for stage, size in sorted(world.fleet.most_memory.items()))
    world.notes.append(f"most memory: {most}")
    return world.times


def moved_models(world: World) -> int:
    """Another model becomes champion while stages die."""
    config = world.deployment.config
    for number in range(world.times):
        registered = champion(config, seed=1 + number)
        world.versions.append(registered.version)
        mlflow_registry.promote(registered.version, config.mlflow)
        world.pause(0.0, 4.0)
        world.fleet.kill_stage("score")
        world.recover()
    return world.times


def culprits(world: World) -> int:
    """Records on which users' states, merchants' states or the model fail, as by a bug."""
    for number in range(world.times):
        world.pause()
        for kind, amount in FAILING.items():
            name = f"culprit-{kind}-{number}"
            made = {"transaction_id": name, "event_time": 1_600_000_000_000, "user_id": f"u-{name}", "merchant_id": f"m-{name}"}
            value = msgspec.json.encode({**made, "amount": amount, "currency": "EUR"})
            world.sender.send(Message("transactions", str(made["user_id"]).encode(), value, []))
            world.recover(patience=180)
    return len(FAILING) * world.times


_ABORTED_EVERY, _RAW_EVERY, _SEEN_EVERY = 2_000, 5_000, 20_000


def hostile_bytes(world: World) -> int:
    """Bytes of all kinds on every topic that we read, by clients of every codec, aborted and raw ones too; no stage may end by them."""
    kafka = KafkaClients.of(world.deployment.config)
    world.pause(5.0, 5.0)
    sender = HostileSender(world.deployment.config.kafka, world.random)
    made: Iterator[Hostile] = iter(())
    for number in range(world.times):
        if number % _SEEN_EVERY == 0:
            made = hostile.records(world.random, hostile.seen_in(kafka))
            world.fleet.look_after()
        sender.send(next(made))
        if number % _ABORTED_EVERY == 0:
            sender.send_aborted([next(made) for _ in range(20)])
        if number % _RAW_EVERY == 0:
            sender.send_raw()
    sender.flush()
    world.recover(patience=300)
    most = ", ".join(f"{stage} {size / 2**20:.0f} MB" for stage, size in sorted(world.fleet.most_memory.items()))
    world.notes.append(f"{sender.sent:,} hostile records; most memory: {most}")
    restarted = world.fleet.restarts()
    assert not world.fleet.ended, "a worker gave up"
    assert not restarted, restarted
    return sender.sent


def flapping(world: World) -> int:
    """The network to the broker resets all connections, holds what is sent for longer than a session lasts, and passes for a second."""
    network = world.network
    assert network is not None
    for _ in range(world.times):
        network.reset()
        world.fleet.watch(0.3)
        network.hold()
        world.fleet.watch(7.0)
        network.let_pass()
        world.fleet.watch(1.0)
    world.recover(patience=180)
    assert not world.fleet.ended, "a worker gave up"
    return world.times


@dataclass(frozen=True)
class Scenario:
    """One row of the table; ``flaky``: the workers reach the broker through a network that can fail."""

    inject: Inject
    times: int
    rate: float = 2_500
    sabotage: str = ""
    flaky: bool = False

    @property
    def name(self) -> str:
        """What it is called."""
        return self.inject.__name__.replace("_", " ")


@dataclass
class Row:
    """What came of a scenario; seconds."""

    fault: str
    injected: int
    verdict: FaultVerdict
    recoveries: list[float]
    notes: list[str]
    seconds: float
    failed: str = ""

    @property
    def holds(self) -> bool:
        """Whether it came to its end and every promise was kept."""
        return self.verdict.holds and not self.failed


def run(scenario: Scenario, home: Path, seed: int = 0) -> Row:
    """Runs a scenario on a deployment of its own, and judges."""
    began = time.monotonic()
    with ExitStack() as stack:
        behind = stack.enter_context(flaky(home)) if scenario.flaky else None
        deployment = stack.enter_context(deployed(home)) if behind is None else behind.deployment
        champion(deployment.config)
        fleet = Fleet(deployment.config if behind is None else behind.config, home / "fleet", scenario.sabotage)
        try:
            fleet.add()
            with Sender(deployment.config.kafka, seed, Seal(deployment.config.answer_key), scenario.rate) as sender:
                world = World(deployment, fleet, sender, Random(seed), scenario.times, behind.network if behind else None)
                world.recover()
                world.recoveries.clear()
                injected = scenario.inject(world)
            _settle(world)
            took = fleet.stop()
            assert took < 10, f"a worker took {took:.1f} s to end"
        finally:
            fleet.kill()
        failing = FAILING if scenario.sabotage == "fail_on_some" else None
        verdict = Oracle(deployment.config, world.versions, failing).judge()
    return Row(scenario.name, injected, verdict, world.recoveries, world.notes, time.monotonic() - began)


def _settle(world: World) -> None:
    watch = IdleWatch(world.deployment.config, unchanged_s=1.0)
    try:
        deadline = time.monotonic() + _SETTLE_S
        while not watch.idle():
            world.fleet.watch(0.5)
            assert time.monotonic() < deadline, "the workers never had nothing left to do"
    finally:
        watch.close()


FULL = (
    Scenario(kills, 150, rate=1_500),
    Scenario(crash_points, 46, rate=1_500),
    Scenario(zombies, 8, rate=1_500),
    Scenario(terminations, 8),
    Scenario(scaling, 3, rate=1_500),
    Scenario(broker, 4, rate=1_000),
    Scenario(online_store, 8),
    Scenario(bursts, 3),
    Scenario(moved_models, 5),
    Scenario(culprits, 2, sabotage="fail_on_some"),
    Scenario(flapping, 11, rate=500, flaky=True),
    Scenario(hostile_bytes, 1_000_000, rate=1_000),
)

_COUNTED = ("transactions", "lost", "duplicated", "wrong", "wrong_state", "wrong_online")


def cells(row: Row) -> tuple[str, ...]:
    """A row of the table as text."""
    if row.failed:
        return (row.fault, f"{row.injected:,}", *("failed" for _ in _COUNTED), "")
    recovery = f"{statistics.median(row.recoveries):.1f}, {max(row.recoveries):.1f}" if row.recoveries else ""
    numbers = (row.injected, *(getattr(row.verdict, name) for name in _COUNTED))
    return (row.fault, *(f"{number:,}" for number in numbers), recovery)


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown, with their sum."""
    total = FaultVerdict()
    for row in rows:
        for name in _COUNTED:
            setattr(total, name, getattr(total, name) + getattr(row.verdict, name))
    everything = Row("all", sum(row.injected for row in rows), total, [], [], 0.0)
    columns = ("fault", "times injected", *(name.replace("_", " ") for name in _COUNTED), "recovery s (median, max)")
    lines = [columns, tuple("---" for _ in columns), *map(cells, [*rows, everything])]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="scenarios, comma-separated, such as kills,zombies")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies how often each fault is injected")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--keep", action="store_true", help="keep the deployments' folders")
    arguments = parser.parse_args()
    chosen = [scenario for scenario in FULL if not arguments.only or scenario.inject.__name__ in arguments.only.split(",")]
    made_on = provenance(["python", "-m", "tests.faults.campaign", *sys.argv[1:]])
    rows = []
    for scenario in chosen:
        folder = Path(tempfile.mkdtemp(prefix="tidemark-faults-"))
        times = max(1, round(scenario.times * arguments.scale))
        try:
            row = run(replace(scenario, times=times), folder / "home", arguments.seed)
        except Exception as error:  # the other scenarios are to run all the same
            row = Row(scenario.name, times, FaultVerdict(), [], [], 0.0, failed="".join(traceback.format_exception(error)))
        if not arguments.keep:
            shutil.rmtree(folder)
        rows.append(row)
        lines = [row.failed, *row.notes, *row.verdict.examples[:5]]
        print(" | ".join(cells(row)), f"| {row.seconds:.0f} s", *filter(None, lines), sep="\n  ", flush=True)
    print(table(rows))
    if arguments.json:
        figures = {**made_on, "seed": arguments.seed, "rows": [msgspec.to_builtins(row) for row in rows]}
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    if not all(row.holds for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    _main()
