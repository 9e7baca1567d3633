"""A worker's process: runs the chosen stages until it is stopped, or until nothing is left to do."""

import logging
import signal
import threading
import time
from collections.abc import Sequence

import typer

from api.settings import DISPENSABLE, Settings
from features.errors import UserError
from infra.local import ports
from streams.kafka.admin import create_missing
from streams.kafka.client import KafkaClients
from streams.workers.kafka_idle import IdleWatch
from streams.workers.logs import log_to_stderr
from streams.workers.stages import STAGES
from streams.workers.worker import Worker

_LOOK_EVERY_S = 1.0


def run(stages: list[str], until_idle: bool, online: bool, metrics: str) -> None:
    """Runs the stages until SIGTERM or SIGINT, or if ``until_idle`` until all that came in is decided and projected.

    Exits with 1 if a stage is down in the end, or if it was stopped before it was idle; where it should become idle also if a stage failed
    again and again. Raises UserError if it can't run, or can't go on.
    """
    log_to_stderr(logging.INFO)
    config = Settings.resolve(require_services=True, may_be_away=DISPENSABLE).agreed_config(online=online, metrics=metrics)
    running = Worker(config, stages)
    _require_free(metrics, running.stages)
    create_missing(KafkaClients.of(config))

    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    watch = IdleWatch(config, stages) if until_idle else None
    looked = 0.0

    def until() -> bool:
        nonlocal looked
        if stopping.is_set() or watch is None or time.monotonic() - looked < _LOOK_EVERY_S:
            return stopping.is_set()
        looked = time.monotonic()
        # What is committed already would look like the work of a stage that never came up.
        return running.all_up() and watch.idle()

    try:
        running.start()
        fine = running.run(until, patient=not until_idle)
    finally:
        running.stop()
        if watch is not None:
            watch.close()
    if not fine or (until_idle and stopping.is_set()):
        raise typer.Exit(1)


def _require_free(metrics: str, chosen: Sequence[str]) -> None:
    """Two workers on one host serve their figures on ports of their own."""
    host, _, port = metrics.rpartition(":")
    for place, stage in enumerate(STAGES):
        if metrics and stage in chosen and (reason := ports.why_not_bound(host, int(port) + place)):
            raise UserError(
                f"metrics can't be served at {host}:{int(port) + place} ({reason}); give this worker another address with --metrics"
            )
