"""What producers send: bursts, records that show a bug, bytes of all kinds."""

import time
from collections.abc import Iterator

import msgspec

from streams.kafka.client import KafkaClients
from streams.messages.seal import Seal
from tests.faults import hostile
from tests.faults.fleet import STAGES
from tests.faults.hostile import Hostile, HostileSender
from tests.faults.stage import FAILING
from tests.faults.traffic import Message
from tests.faults.world import World


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


# Of memory, which differs by as much between two looks at a process that works, and by what has been fetched and waits.
_MOST_GROWTH, _BUFFERED = 1.3, 100 << 20
_ABORTED_EVERY, _RAW_EVERY, _SEEN_EVERY = 2_000, 5_000, 20_000


def hostile_bytes(world: World) -> int:
    """Bytes of all kinds on every topic that we read, by clients of every codec, aborted and raw ones too; no stage may end by them."""
    kafka = KafkaClients.of(world.deployment.config)
    world.pause(5.0, 5.0)
    sender = HostileSender(world.deployment.config.kafka, world.random)
    made: Iterator[Hostile] = iter(())
    half: dict[str, int] = {}
    for number in range(world.times):
        if number == world.times // 2:
            world.recover(patience=300, undisturbed=True)
            half = {stage: world.fleet.memory(stage) for stage in STAGES}
        if number % _SEEN_EVERY == 0:
            made = hostile.records(world.random, hostile.seen_in(kafka, Seal(world.deployment.config.answer_key)))
            world.fleet.look_after()
        sender.send(next(made))
        if number % _ABORTED_EVERY == 0:
            sender.send_aborted([next(made) for _ in range(20)])
        if number % _RAW_EVERY == 0:
            sender.send_raw()
    sender.flush()
    world.recover(patience=300, undisturbed=True)
    world.sender.stop()
    world.settle()
    world.fleet.require_undisturbed()
    grown = {stage: (half[stage], world.fleet.memory(stage)) for stage in STAGES}
    memory = ", ".join(f"{stage} {then / 2**20:.0f} and {now / 2**20:.0f} MB" for stage, (then, now) in grown.items())
    world.notes.append(f"{sender.sent:,} hostile records; memory after half of them and after all: {memory}")
    assert all(now < _MOST_GROWTH * then + _BUFFERED for then, now in grown.values()), f"memory isn't flat: {memory}"
    return sender.sent


def takes_hostile_bytes(world: World) -> None:
    """Every command that reads these topics comes to its end, and the audit finds all well."""
    for command in (
        ("archive", "--once", "--memory", "2g"),
        ("audit", "--all", "--dry-run"),
        ("explain", "t1"),
        ("dead-letters",),
        ("offsets", "show"),
        ("rebuild-state", "--features", "fraud_v2"),
    ):
        began = time.monotonic()
        done = world.deployment.tidemark(*command, timeout=1_800)
        world.notes.append(f"tidemark {' '.join(command)}: {time.monotonic() - began:.0f} s")
        assert done.returncode == 0, f"{command}: {done.stdout[-1_000:]}{done.stderr[-3_000:]}"
        assert "Traceback" not in done.stderr
