"""What the workers stand on fails: broker, network, Redis, disk."""

import os
import resource
import signal
import time

import redis

from infra.local import kafka, processes, services
from infra.local import redis as redis_server
from infra.local.processes import Slot
from streams.messages.topics import TRANSACTIONS
from tests.faults.world import World


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


def full_disk(world: World) -> int:
    """The broker can't write on, as on a full disk: it may make no file any larger. It ends by that, and is started again with room."""
    for _ in range(world.times):
        world.pause(2.0, 4.0)
        slot = Slot(world.deployment.home, kafka.NAME)
        pid = processes.running_pid(slot)
        assert pid is not None
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (_largest_log(world), most))
        deadline = time.monotonic() + 60
        while processes.running_pid(slot) is not None:
            world.fleet.watch(0.5)
            assert time.monotonic() < deadline, "the broker wrote on"
        world.fleet.watch(world.random.uniform(0.0, 5.0))
        services.up(world.deployment.home, report=lambda _line: None)
        world.recover(patience=180)
    return world.times


def _largest_log(world: World) -> int:
    """Bytes of the longest log of the topic that everything comes in by."""
    logs = (world.deployment.home / kafka.NAME).rglob(f"{TRANSACTIONS.name}-*/*.log")
    return max(log.stat().st_size for log in logs)
