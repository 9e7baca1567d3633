"""``tidemark alerts``: what the monitor has said, and who has taken note of it."""

import time
from pathlib import Path

import msgspec
import typer

from api.cli.conventions import write_summary
from api.cli.models.alerting import alerting
from api.provenance import provenance
from api.settings import Settings
from features.errors import UserError
from features.history.moments import moment
from streams.alerts import kafka_alerts
from streams.alerts.book import Acknowledged, line, text


def run_list(everything: bool, summary: Path | None) -> None:
    """As ``tidemark alerts list`` promises."""
    with alerting(Settings.resolve(require_services=False)) as (kafka, seal):
        book = kafka_alerts.read(kafka, seal)
    found = book.newest(resolved=everything)
    notes = [book.note_of(alert) for alert in found]
    write_summary(
        summary,
        {
            "alerts": [
                {**msgspec.to_builtins(alert), "acknowledged": msgspec.to_builtins(note)} for alert, note in zip(found, notes, strict=True)
            ]
        },
    )
    for alert, note in zip(found, notes, strict=True):
        typer.echo(line(alert, note))
    if not found:
        typer.echo("there are no alerts" if everything else "no alert is open; with --all, those that are over")


def run_show(alert: str, summary: Path | None) -> None:
    """As ``tidemark alerts show`` promises."""
    with alerting(Settings.resolve(require_services=False)) as (kafka, seal):
        book = kafka_alerts.read(kafka, seal)
    history = book.history(alert)
    note = book.note_of(history[-1])
    write_summary(summary, {"history": msgspec.to_builtins(history), "acknowledged": msgspec.to_builtins(note)})
    for said in text(history, note):
        typer.echo(said)


def run_ack(alert: str, reason: str, author: str | None) -> None:
    """As ``tidemark alerts ack`` promises."""
    if not reason.strip():
        raise UserError("--reason is empty; give it what is done about the alert")
    with alerting(Settings.resolve(require_services=False)) as (kafka, seal):
        newest = kafka_alerts.read(kafka, seal).history(alert)[-1]
        if newest.status == "resolved":
            raise UserError(f"alert {alert} is over since {moment(newest.at)}; `tidemark alerts list` names those that aren't")
        note = Acknowledged(alert, newest.opened_at, provenance(author).author, int(time.time() * 1000), reason.strip())
        kafka_alerts.acknowledge(kafka, seal, note)
    typer.echo(f"alert {alert} is acknowledged by {note.by}")
