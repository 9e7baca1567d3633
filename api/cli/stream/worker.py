"""``tidemark worker``: runs the stages."""

import logging
import signal
import sys
import threading
import time
from typing import Annotated

import typer

from api.settings import Settings
from features.errors import UserError
from infra.local import ports
from streams.kafka.admin import create_missing
from streams.workers.kafka_idle import IdleWatch
from streams.workers.stages import STAGES
from streams.workers.worker import Worker

_LOOK_EVERY_S = 1.0


def worker(
    stages: Annotated[str, typer.Option(help="Which stages this worker runs, comma-separated.")] = "labels,ingest,score,profiles",
    until_idle: Annotated[bool, typer.Option(help="Exit once everything that came in is decided and projected.")] = False,
    online: Annotated[
        bool, typer.Option("--online-store/--no-online-store", help="Whether features are kept in the online store, for API and Feast.")
    ] = True,
    metrics: Annotated[
        str,
        typer.Option(metavar="HOST:PORT", help="Serve what the stages count to Prometheus, each on a port of its own from this one on."),
    ] = "",
) -> None:
    """Score transactions as they come in. Start as many workers as you like: partitions are shared among them."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    config = Settings.resolve(require_services=True).stream_config(online=online, metrics=metrics)
    chosen = [name.strip() for name in stages.split(",") if name.strip()]
    running = Worker(config, chosen)
    _require_free(metrics, chosen)
    create_missing(config.kafka)

    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    watch = IdleWatch(config, chosen) if until_idle else None
    looked = 0.0

    def until() -> bool:
        nonlocal looked
        if stopping.is_set() or watch is None or time.monotonic() - looked < _LOOK_EVERY_S:
            return stopping.is_set()
        looked = time.monotonic()
        return watch.idle()

    try:
        running.start()
        fine = running.run(until)
    finally:
        running.stop()
        if watch is not None:
            watch.close()
    if not fine or (until_idle and stopping.is_set()):
        raise typer.Exit(1)


def _require_free(metrics: str, chosen: list[str]) -> None:
    """Two workers on one host serve their figures on ports of their own."""
    host, _, port = metrics.rpartition(":")
    for place, stage in enumerate(STAGES):
        if metrics and stage in chosen and ports.accepts(host, int(port) + place):
            raise UserError(f"something listens at {host}:{int(port) + place} already; give this worker other ports with --metrics")
