"""``tidemark audit``: decisions computed again from the raw logs."""

import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from api.cli.conventions import progress, until_interrupted, write_summary
from api.cli.options import SummaryOption
from api.cli.proof.auditing import AuditedOption, auditing
from api.settings import Settings
from features.errors import UserError
from models.promotion import mlflow_audits
from streams.audit import event_time as by_event_time
from streams.audit import report
from streams.audit.kafka_audit import KafkaAudit
from streams.audit.prometheus_audit import AuditMetrics

_SAMPLE, _STORE_KEYS, _MOST_STORE_KEYS = 10_000, 500, 20_000
_LOOK_EVERY_S, _CHECK_STORE_EVERY_S = 1.0, 60.0


def audit(
    sample: Annotated[int, typer.Option(min=1, metavar="N", help="About how many decisions are compared.")] = _SAMPLE,
    everything: Annotated[
        bool, typer.Option("--all", help="Compare every decision, and all keys of the online store up to 40,000.")
    ] = False,
    oracle_share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="The share of users and merchants that the slow oracle computes too.")
    ] = 0.01,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what is decided from now on, until Ctrl-C.")] = False,
    event_time: Annotated[
        bool, typer.Option("--event-time", help="Also say how far vectors are from those of all events in the order of event time.")
    ] = False,
    summary: SummaryOption = None,
    metrics_port: Annotated[int | None, typer.Option(min=1, max=65535, help="Answer Prometheus on this port of 127.0.0.1.")] = None,
    store_patience: Annotated[
        float, typer.Option(min=0, help="Seconds that the online store may be behind before that counts as a mismatch.")
    ] = 10.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Don't record the verdict in the registry, where it bars promotions.")] = False,
    features: AuditedOption = None,
) -> None:
    """Compute the vectors and scores of decisions again from the raw logs, compare them bit for bit, and name the cause of what differs.

    Checks what the online store serves too. Fails with 1 if anything differs, with 2 if it can't audit.
    """
    if event_time and follow:
        raise UserError("--event-time needs a log that is complete; leave out --follow")
    began = time.monotonic()
    config = Settings.resolve(require_services=True).stream_config(features)
    metrics = AuditMetrics()
    if metrics_port is not None:
        metrics.serve(metrics_port)
    disorder = by_event_time.EventTime(config.feature_set) if event_time else None
    watchers, observers = ([], []) if disorder is None else ([disorder], [disorder.observe])
    keys = _MOST_STORE_KEYS if everything else _STORE_KEYS
    with auditing(config, None if everything else sample, oracle_share, watchers, observers) as running:
        with progress("auditing", None) as advance:
            running.catch_up(advance)
        running.auditor.finish()
        checked, in_store = running.check_store(keys, store_patience)
        metrics.update(running, Counter(mismatch.cause for mismatch in in_store))
        if follow:
            checked, in_store = _follow(running, metrics.update, keys, store_patience)
        found = report.report(running.auditor, running.positions, checked, in_store)
    if disorder is not None:
        found["event_time"] = disorder.report()
    found |= {"command": " ".join(["tidemark", *sys.argv[1:]]), "seconds": round(time.monotonic() - began, 1)}
    if not dry_run and report.is_conclusive(found):
        _record_verdict(found, config.mlflow)
    write_summary(summary, found)
    for line in report.text(found):
        typer.echo(line)
    if disorder is not None:
        for line in by_event_time.text(found["event_time"]):
            typer.echo(line)
    if not report.passed(found):
        raise typer.Exit(1)


def _follow(running: KafkaAudit, update: Callable[[KafkaAudit, Counter[str]], None], keys: int, patience: float) -> tuple[int, list[Any]]:
    """Audits what comes until Ctrl-C; reports each mismatch at once."""
    checked, in_store = 0, list[Any]()
    looked = time.monotonic()
    with until_interrupted() as interrupted:
        while not interrupted():
            if not running.catch_up():
                time.sleep(_LOOK_EVERY_S)
            for mismatch in running.auditor.finish():
                typer.echo(f"{mismatch.what} of {mismatch.scored.where}: {mismatch.cause}, {mismatch.sentence}")
            if time.monotonic() > looked + _CHECK_STORE_EVERY_S:
                checked, found = running.check_store(keys, patience)
                known = {(one.entity, one.key) for one in in_store}
                in_store += [one for one in found if (one.entity, one.key) not in known]
                looked = time.monotonic()
            update(running, Counter(mismatch.cause for mismatch in in_store))
    return checked, in_store


def _record_verdict(found: dict[str, Any], tracking_uri: str) -> None:
    mismatches = found["mismatches"] + found["store"]["mismatches"]
    verdict = mlflow_audits.AuditVerdict(not mismatches, found["audited"], mismatches, datetime.now(UTC).isoformat(timespec="seconds"))
    mlflow_audits.record(found["features_digest"], verdict, tracking_uri)
