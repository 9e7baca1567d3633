"""A worker's process: runs the chosen stages until it is stopped, or until nothing is left to do."""

import logging
import signal
import threading
import time
from collections.abc import Sequence

import typer

from api.settings import DISPENSABLE, Settings, require_address
from features.errors import UserError
from infra.local import ports
from streams.kafka.admin import create_missing
from streams.kafka.client import KafkaClients
from streams.workers.kafka_idle import IdleWatch
from streams.workers.logs import log_to_file, log_to_stderr, note_in_file, require_format
from streams.workers.stages import STAGES, chosen
from streams.workers.worker import Worker

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0


def run(stages: list[str], until_idle: bool, online: bool, metrics: str) -> None:
    """Runs the stages until SIGTERM or SIGINT, or if ``until_idle`` until all that came in is decided and projected.

    Exits with 1 if a stage is down in the end, or if it was stopped before it was idle; where it should become idle also if a stage failed
    again and again. Raises UserError if it can't run, or can't go on.
    """
    runs = chosen(stages, online)
    require_format()
    require_address(metrics)
    _require_free(metrics, runs)
    settings = Settings.resolve(require_services=True, may_be_away=DISPENSABLE)
    log_to_file(settings.home / "logs" / "worker.log")
    log_to_stderr(logging.INFO)
    config = settings.agreed_config(online=online, metrics=metrics)
    running = Worker(config, stages)
    create_missing(KafkaClients.of(config))

    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    watch = IdleWatch(config, stages) if until_idle else None
    looked, came_up = 0.0, False

    def until() -> bool:
        nonlocal looked, came_up
        if not came_up and running.all_up():
            came_up = True
            logger.info("all stages are up: %s", ", ".join(running.stages))
        if stopping.is_set() or watch is None or time.monotonic() - looked < _LOOK_EVERY_S:
            return stopping.is_set()
        looked = time.monotonic()
        # What is committed already would look like the work of a stage that never came up.
        return running.all_up() and watch.idle()

    try:
        running.start()
        fine = running.run(until, patient=not until_idle)
    except UserError as error:
        note_in_file(error)
        raise
    finally:
        running.stop()
        if watch is not None:
            watch.close()
    if not fine or (until_idle and stopping.is_set()):
        raise typer.Exit(1)


def _require_free(metrics: str, runs: Sequence[str]) -> None:
    """Two workers on one host serve their figures on ports of their own."""
    host, _, port = metrics.rpartition(":")
    for place, stage in enumerate(STAGES):
        if metrics and stage in runs and (reason := ports.why_not_bound(host, int(port) + place)):
            raise UserError(
                f"metrics can't be served at {host}:{int(port) + place} ({reason}); give this worker another address with --metrics"
            )
