"""What operators do: workers come and go, models change, offsets are moved, topics are cut and created again."""

from collections.abc import Sequence

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from models.registry import mlflow_registry
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.messages.topics import BY_MERCHANT, DECISIONS, STATE_MERCHANTS, STATE_USERS, TRANSACTIONS
from tests.faults.world import World
from tests.made.records import transaction
from tests.run.deployment import champion, eventually
from tests.run.topics import create_again, move_offset


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


_MOVES = (1, -1, 20, -1_000, -1_000_000)


def offsets_moved(world: World) -> int:
    """While no worker runs, the position of a stage on a partition is moved. Workers must refuse it until it is restored by the command."""
    for number in range(world.times):
        world.pause(2.0, 4.0)
        world.fleet.stop()
        stage = ("ingest", "score")[number % 2]
        move_offset(world.deployment.config, stage, world.random.randrange(4), _MOVES[number % len(_MOVES)])
        _end_by_themselves(world)
        eventually(lambda: world.deployment.tidemark("offsets", "restore").returncode == 0, 60, "the end of the groups' members")
        world.fleet.add()
        world.recover(stage)
    return world.times


def topics_lost(world: World) -> int:
    """While no worker runs, the topics of the saved states are created again: states are computed anew from the logs, which are whole."""
    for _ in range(world.times):
        world.pause(2.0, 4.0)
        world.fleet.stop()
        create_again(world.deployment.config, STATE_USERS.name, STATE_MERCHANTS.name)
        world.fleet.add()
        world.recover(patience=180)
    return 2 * world.times + 1 + len(_STOOD_ON)


_STOOD_ON = (TRANSACTIONS, BY_MERCHANT)


def refuses_lost_topics(world: World) -> None:
    """The rest of ``topics_lost``, after which there is nothing left to judge by: ``transactions`` is cut before it was read, then created
    again, as is the other log that a stage stands on. Workers must say why they refuse, and decide nothing."""
    admin = AdminClient({"bootstrap.servers": world.deployment.config.kafka})
    _send_some(world)
    before = _ends(world, DECISIONS.name)
    cut = [TopicPartition(TRANSACTIONS.name, number, end) for number, end in enumerate(_ends(world, TRANSACTIONS.name))]
    for done in admin.delete_records(cut).values():
        done.result(10)
    _refused(world, "retention has removed")
    for topic in _STOOD_ON:
        create_again(world.deployment.config, topic.name)
        _send_some(world)
        _refused(world, "created again")
    assert _ends(world, DECISIONS.name) == before, "something was decided"


def _refused(world: World, why: str) -> None:
    lines = _end_by_themselves(world)
    assert any(why in line for line in lines), f"no line says {why}"
    traces = [number for number, line in enumerate(lines) if "Traceback" in line]
    assert not traces, "\n".join(lines[max(0, traces[0] - 3) : traces[0] + 40])


def _end_by_themselves(world: World) -> Sequence[str]:
    """Starts a worker that must end by itself; returns what it has logged. None runs afterwards."""
    ended, before = world.fleet.ended, len(world.fleet.lines())
    world.fleet.add()
    eventually(lambda: world.fleet.look_after() or world.fleet.ended > ended, 60, "the worker's refusal")
    world.fleet.kill()
    return world.fleet.lines()[before:]


def _send_some(world: World) -> None:
    made = [transaction(number, f"late{number % 50}", f"m{number % 20}", 1_700_000_000_000 + number) for number in range(1_000)]
    world.deployment.send(made)


def _ends(world: World, topic: str) -> list[int]:
    log = KafkaLog(KafkaClients.of(world.deployment.config), "campaign")
    try:
        return [log.bounds(topic, partition)[1] for partition in range(4)]
    finally:
        log.close()
