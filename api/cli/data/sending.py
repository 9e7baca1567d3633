"""Sending a plan's records under a progress bar, and what is said of it."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import typer

from api.cli.conventions import INTERRUPTED, progress, until_interrupted, write_summary
from api.settings import Settings
from streams.kafka.client import KafkaClients
from streams.replay.kafka_replay import ReplaySummary, replay
from streams.replay.pacing import Rate
from streams.replay.plan import ReplayPlan

Replaying = Callable[[Callable[[int], None], Callable[[], bool]], ReplaySummary]


def known_kafka() -> KafkaClients:
    """What builds clients of the deployment's Kafka. Raises UserError if none is known, or it is another deployment's."""
    return Settings.resolve(require_services=False).agreed_kafka()


def send(table: pa.Table, plan: ReplayPlan, kafka: KafkaClients, rate: Rate, title: str, summary: Path | None) -> None:
    """Sends a plan's records, as ``report`` says."""
    report(lambda advance, stopped: replay(table, plan, kafka, rate, advance, stopped), title, len(plan), summary)


def report(replaying: Replaying, title: str, records: int, summary: Path | None) -> None:
    """Replays, says what was done, and exits with 130 if Ctrl-C ended it, 1 if a delivery failed."""
    with until_interrupted() as stopped, progress(title, records) as advance:
        done = replaying(advance, stopped)
    write_summary(summary, asdict(done))
    typer.echo(f"{done.transactions:,} transactions and {done.labels:,} labels in {done.seconds:.1f} s, {done.rate:,.0f}/s")
    if done.failed:
        typer.echo(
            f"error: {done.failed:,} records were not delivered ({done.first_failure}), {done.unsent:,} not sent; see `tidemark doctor`",
            err=True,
        )
        raise typer.Exit(1)
    if done.unsent:
        typer.echo(f"interrupted: {done.unsent:,} records were not sent", err=True)
        raise typer.Exit(INTERRUPTED)
