"""What operators do: workers come and go, models change, offsets are moved, topics are cut and created again."""

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from models.registry import mlflow_registry
from streams.kafka.admin import create_missing
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.messages.topics import BY_MERCHANT, DECISIONS, STATE_MERCHANTS, STATE_USERS, TRANSACTIONS, Topic
from streams.workers.stages import STAGES
from tests.faults.world import World
from tests.made.records import transaction
from tests.run.deployment import champion, eventually


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
        _move(world, stage, world.random.randrange(4), _MOVES[number % len(_MOVES)])
        refused = world.fleet.ended
        world.fleet.add()
        eventually(lambda before=refused: world.fleet.look_after() or world.fleet.ended > before, 60, "the worker's refusal")
        world.fleet.kill()
        eventually(lambda: world.deployment.tidemark("offsets", "restore").returncode == 0, 60, "the end of the groups' members")
        world.fleet.add()
        world.recover(stage)
    return world.times


def _move(world: World, stage: str, partition: int, by: int) -> None:
    """As another tool does it, which signs nothing."""
    config, topic = world.deployment.config, STAGES[stage].topic.name
    kafka = KafkaClients.of(config)
    log = KafkaLog(kafka, config.group(stage))
    offset = log.committed(topic, partition) or 0
    log.close()
    consumer = Consumer({"bootstrap.servers": config.kafka, "group.id": config.group(stage)})

    def moved() -> bool:
        # Members that have just ended may count for a moment.
        try:
            consumer.commit(offsets=[TopicPartition(topic, partition, max(0, offset + by))], asynchronous=False)
        except KafkaException:
            return False
        return True

    eventually(moved, 30, "the end of the group's members")
    consumer.close()


def topics_lost(world: World) -> int:
    """While no worker runs, the topics of the saved states are created again: states are computed anew from the logs, which are whole."""
    for _ in range(world.times):
        world.pause(2.0, 4.0)
        world.fleet.stop()
        _create_again(world, STATE_USERS, STATE_MERCHANTS)
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
        _create_again(world, topic)
        _send_some(world)
        _refused(world, "created again")
    assert _ends(world, DECISIONS.name) == before, "something was decided"


def _create_again(world: World, *topics: Topic) -> None:
    names = {topic.name for topic in topics}
    admin = AdminClient({"bootstrap.servers": world.deployment.config.kafka})
    for done in admin.delete_topics(list(names)).values():
        done.result(10)
    eventually(lambda: not names & set(admin.list_topics(timeout=10).topics), 30, f"the end of {names}")
    create_missing(KafkaClients.of(world.deployment.config))


def _refused(world: World, why: str) -> None:
    ended = world.fleet.ended
    lines = len(world.fleet.lines())
    world.fleet.add()
    eventually(lambda: world.fleet.look_after() or world.fleet.ended > ended, 60, "the worker's refusal")
    world.fleet.kill()
    assert any(why in line for line in world.fleet.lines()[lines:]), f"no line says {why}"
    assert not any("Traceback" in line for line in world.fleet.lines()[lines:])


def _send_some(world: World) -> None:
    made = [transaction(number, f"late{number % 50}", f"m{number % 20}", 1_700_000_000_000 + number) for number in range(1_000)]
    world.deployment.send(made)


def _ends(world: World, topic: str) -> list[int]:
    log = KafkaLog(KafkaClients.of(world.deployment.config), "campaign")
    try:
        return [log.bounds(topic, partition)[1] for partition in range(4)]
    finally:
        log.close()
