"""The Faust apps, one a stage: an agent takes the stage's records and feeds them to the partitions this process owns."""

import faulthandler
import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import Any, cast

import faust
from aiokafka.errors import CommitFailedError, IllegalStateError
from faust.serializers.schemas import Schema

from streams.config import DeploymentConfig
from streams.control import kafka_facts
from streams.kafka.admin import require_topics
from streams.kafka.client import KafkaClients
from streams.kafka.positions import Positions
from streams.kafka.stall import exit_now
from streams.kafka.watchdog import Watchdog
from streams.workers import notes, stage_metrics
from streams.workers.faust_transport import SCHEME, BatchesApp, Consumer
from streams.workers.partitions import Partitions
from streams.workers.refusal_log import RefusalLog
from streams.workers.stages import STAGES, Stage

logger = logging.getLogger(__name__)

# A killed worker's partitions move once its session has timed out; a broker accepts no less than 6 s by default.
_SESSION_S = 6.0
_HEARTBEAT_S = 1.0

_METADATA_MS = 5_000

# Whoever ends a worker waits for 10 s.
_END_S = 8.0

# Fetches, of some thousand records each.
_MOST_BUFFERED = 4


class _Untouched(Schema[Any, Any]):
    """Hands keys and values through as they are; a value is lists of records by partition."""

    def loads_key(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Any:
        return message.key

    def loads_value(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Any:
        return message.value


def create_app(stage: Stage, config: DeploymentConfig, fail: Callable[[BaseException], None]) -> faust.App:
    """The Faust app of a stage. ``fail`` is called once if a partition can't go on; everything then starts over from what is committed."""
    app = BatchesApp(
        config.group(stage.name),
        broker=f"{SCHEME}://{config.kafka}",
        store="memory://",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        broker_session_timeout=_SESSION_S,
        broker_heartbeat_interval=_HEARTBEAT_S,
        broker_rebalance_timeout=30.0,
        # Recovery may keep a partition from being polled; its worker is alive all the same.
        broker_max_poll_interval=3600.0,
        # A member that joins before it knows the topic is given nothing, and asks again only so often.
        consumer_metadata_max_age_ms=_METADATA_MS,
        stream_wait_empty=False,
        stream_buffer_maxsize=_MOST_BUFFERED,
    )
    app.fetching = stage.fetching
    app.kafka = KafkaClients.of(config)
    app.fail = fail

    async def commit(positions: Positions) -> None:
        try:
            await cast(Consumer, app.consumer).commit_positions(stage.topic.name, positions)
        except (CommitFailedError, IllegalStateError) as error:
            # The group is rebalancing: the next owner starts from the positions before, and sends some things twice.
            logger.info("positions %s of %s not committed: %s", dict(positions), stage.topic.name, error)

    kafka_facts.require_of(config)
    require_topics(app.kafka, (stage.topic, *stage.others))
    worker = stage.connect(config)
    refusals = RefusalLog(worker.counts)
    partitions = Partitions(worker, stage.limit, commit, fail, notes.come_up)
    app.idle = partitions.idle

    watchdog = Watchdog(config, stage.topic, config.group(stage.name), partitions.positions, exit_now, measure=bool(config.metrics))
    if config.metrics:
        metrics = stage_metrics.StageMetrics(stage.name, worker, partitions, watchdog.ends)
        stage_metrics.serve(config.metrics, list(STAGES).index(stage.name), metrics)

    @app.on_partitions_assigned.connect
    async def assigned(*arguments: Any, **_: Any) -> None:
        _, here = arguments
        numbers = {tp.partition for tp in here if tp.topic == stage.topic.name}
        await partitions.assign(numbers, app.consumer_generation_id, cast(Consumer, app.consumer).membership())

    @app.on_partitions_revoked.connect
    async def revoked(*_arguments: Any, **_: Any) -> None:
        await partitions.revoke()

    @app.on_before_shutdown.connect
    async def stopping(*_arguments: Any, **_: Any) -> None:
        watchdog.close()
        await partitions.end()
        refusals.close()

    @app.agent(app.topic(stage.topic.name, schema=_Untouched()), name=f"{stage.name}.records")
    async def records(stream: Any) -> None:
        async for event in stream.events():
            await partitions.feed(event.message.generation_id, event.value)

    return app


class _Worker(faust.Worker):
    """Ends for certain, wherever Faust's orderly end may wait."""

    def _on_sigterm(self) -> None:
        _end_for_certain()
        super()._on_sigterm()


def _end_for_certain() -> None:
    """Ends the process if an orderly end takes too long; whatever is under way then is given up, and done again from what is committed."""

    def end() -> None:
        logger.error("an orderly end took more than %.0f s; given up while the threads stood so:", _END_S)
        faulthandler.dump_traceback()
        exit_now()

    timer = threading.Timer(_END_S, end)
    timer.daemon = True
    timer.start()


def main(stage_name: str, config: DeploymentConfig) -> None:
    """Runs one stage until SIGTERM. If a partition can't go on it ends in order, and raises what the first failed with."""
    failures: list[BaseException] = []

    def fail(error: BaseException) -> None:
        if not failures:
            os.kill(os.getpid(), signal.SIGTERM)
        failures.append(error)

    worker = _Worker(create_app(STAGES[stage_name], config, fail), quiet=True, override_logging=False, redirect_stdouts=False)
    # It would write control sequences to what is no terminal.
    worker.spinner = None
    try:
        worker.execute_from_commandline()
    except SystemExit as ended:
        if not failures:
            raise ended
    if failures:
        raise failures[0]
