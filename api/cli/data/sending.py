"""Sending a plan's records under a progress bar, and what is said of it."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import typer

from api.answer_key import answer_key
from api.cli.conventions import INTERRUPTED, progress, until_interrupted, write_summary
from api.settings import Settings
from features.arrays import RecordKind
from streams.kafka.client import KafkaClients
from streams.messages.refusals import MAX_AHEAD_MS
from streams.messages.seal import Seal
from streams.replay.kafka_replay import ReplaySummary, replay
from streams.replay.pacing import Rate
from streams.replay.plan import ReplayPlan

Replaying = Callable[[Callable[[int], None], Callable[[], bool]], ReplaySummary]


@dataclass(frozen=True)
class Target:
    """Where records go, and what makes their labels count."""

    kafka: KafkaClients
    seal: Seal

    @classmethod
    def known(cls) -> "Target":
        """The deployment's. Raises UserError if no Kafka, or no key, is known, or the Kafka is another deployment's."""
        settings = Settings.resolve(require_services=False)
        return cls(settings.agreed_kafka(), Seal(answer_key(settings.home)))


def send(table: pa.Table, plan: ReplayPlan, target: Target, rate: Rate, title: str, summary: Path | None) -> None:
    """Sends a plan's records, as ``report`` says, and first how many will be refused because they are of the future."""
    latest = time.time_ns() // 1_000_000 + MAX_AHEAD_MS
    sent = plan.row[plan.kind == RecordKind.TRANSACTION]
    if ahead := int(np.count_nonzero(table["event_time"].to_numpy()[sent] > latest)):
        typer.echo(f"warning: {ahead:,} of {len(sent):,} transactions lie ahead of now, and workers refuse them", err=True)
    report(lambda advance, stopped: replay(table, plan, target.kafka, target.seal, rate, advance, stopped), title, len(plan), summary)


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
