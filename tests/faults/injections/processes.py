"""Processes that die, stall and run out of memory."""

import contextlib
import resource
import statistics
import time
from pathlib import Path

import redis

from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.messages.topics import STATE_MERCHANTS, STATE_USERS
from tests.faults.stage import Order
from tests.faults.world import World


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


_WORKER_EVERY = 4


def crash_points(world: World) -> int:
    """A process dies right after each of its side effects, that is, between every two."""
    points = [(stage, point) for stage, each in POINTS.items() for point in each]
    if world.times < len(points):
        points = world.random.sample(points, world.times)
    for number, (stage, point) in enumerate(points):
        if number % _WORKER_EVERY == 0:
            # One that had to start a stage again so often would wait up to a minute with the next.
            world.fleet.kill_worker()
            world.recover(stage)
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


_SPARE = 4 << 20


def memory_limits(world: World) -> int:
    """INGEST, SCORE and Redis get no more memory than they have, while ten seconds' records come in one go. No record may be blamed."""
    ended = 0
    for number in range(world.times):
        world.pause(2.0, 4.0)
        if number % 3 == 2:
            _redis_refuses(world)
        else:
            ended += _limited(world, ("ingest", "score")[number % 3])
        world.recover(patience=180)
    world.notes.append(f"{ended} processes ended for want of memory")
    assert ended, "no limit was ever felt"
    return world.times


def _limited(world: World, stage: str) -> bool:
    """Whether the stage's process ended, which was given hardly more than it has asked for."""
    pid = world.fleet.pid(stage)
    _, most = resource.prlimit(pid, resource.RLIMIT_DATA)
    resource.prlimit(pid, resource.RLIMIT_DATA, (_data(pid) + _SPARE, most))
    world.sender.burst(int(10 * world.sender.rate))
    world.fleet.watch(8.0)
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_DATA, (most, most))
    return pid not in world.fleet.pids(stage)


def _data(pid: int) -> int:
    """Bytes that a process has asked for to write to. Address space would be no measure: allocators reserve far more than they use."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmData:"))
    return int(line.split()[1]) << 10


def _redis_refuses(world: World) -> None:
    client = redis.Redis.from_url(world.deployment.config.redis)
    client.config_set("maxmemory", client.info("memory")["used_memory"])
    world.sender.burst(int(10 * world.sender.rate))
    world.fleet.watch(5.0)
    client.config_set("maxmemory", 0)
