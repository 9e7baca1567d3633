"""``tidemark audit``: decisions computed again from the raw logs."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from msgspec.structs import asdict

from api.cli.conventions import progress, until_interrupted, write_summary
from api.cli.proof.auditing import auditing
from api.cli.proof.options import AuditOptions
from api.deployment import feature_set_of
from api.provenance import provenance
from api.settings import Settings
from features.errors import UserError
from infra.local import ports
from models.promotion import mlflow_audits
from streams.audit import event_time as by_event_time
from streams.audit import report
from streams.audit.arrow_saved_audits import SavedAudits, audits_folder
from streams.audit.kafka_audit import KafkaAudit
from streams.audit.prometheus_audit import AuditMetrics
from streams.audit.saved_audit import Accepted
from streams.messages.seal import Seal

_ORACLE_SHARE = 0.01
_STORE_KEYS, _MOST_STORE_KEYS = 500, 20_000
_LOOK_EVERY_S, _LOOK_AT_ALL_EVERY_S = 1.0, 60.0


def run(options: AuditOptions) -> None:
    """As ``tidemark audit`` promises."""
    if options.event_time and options.follow:
        raise UserError("--event-time needs a log that is complete; leave out --follow")
    if options.accept is not None and (not options.everything or options.dry_run or not options.accept.strip()):
        raise UserError("--accept needs --all, a reason, and no --dry-run; look at what `tidemark audit --all` finds first")
    feature_set_of(options.features)  # refused before anything is asked
    began = time.monotonic()
    config = Settings.resolve(require_services=True).agreed_config(options.features)
    if options.metrics_port is not None and (reason := ports.why_not_bound(ports.LOOPBACK, options.metrics_port)):
        raise UserError(f"metrics can't be served on port {options.metrics_port} ({reason}); give another --metrics-port")
    metrics = AuditMetrics()
    if options.metrics_port is not None:
        metrics.serve(options.metrics_port)
    disorder = by_event_time.EventTime(config.feature_set) if options.event_time else None
    watchers, observers = ([], []) if disorder is None else ([disorder], [disorder.observe])
    keys = _MOST_STORE_KEYS if options.everything else _STORE_KEYS
    kept = SavedAudits(audits_folder(Path(config.home)) / config.features, config.feature_set, Seal(config.answer_key))
    if not (config.feast_path / "feature_store.yaml").is_file():
        raise UserError(f"there is no Feast repository at {config.feast_path}; `tidemark up` writes it")
    saves = options.everything and not options.dry_run
    if saves:
        kept.require_writable()
    whole = options.from_beginning or options.event_time or bool(options.oracle_share)
    share = _ORACLE_SHARE if options.oracle_share is None else options.oracle_share
    sample = None if options.everything else options.sample
    with auditing(config, sample, share, watchers, observers, None if whole else kept) as running:
        if running.aside:
            so = "it goes on from the one before" if running.since else "it begins with the logs"
            typer.echo(f"{running.aside}; {so}", err=True)
        with progress("auditing scoring-log", running.ahead()) as advance:
            running.catch_up(advance)
        running.auditor.finish()
        running.check_complete()
        checked, in_store = _check_store(running, keys, options.store_patience)
        metrics.update(running, Counter(mismatch.cause for mismatch in in_store))
        if options.follow:
            checked, in_store = _follow(running, metrics.update, keys, options.store_patience, checked, in_store)
        found = report.report(running.auditor, running.completeness, running.positions, checked, in_store, running.since)
        if saves and not report.nothing_audited(found) and (report.passed(found) or _is_acceptable(found, options.accept)):
            accepted = _accepted(found, options.accept)
            found |= {"accepted": [asdict(one) for one in accepted], "saved": str(kept.save(running.saved(accepted)))}
    if disorder is not None:
        found["event_time"] = disorder.report()
    found |= {"command": " ".join(["tidemark", *sys.argv[1:]]), "seconds": round(time.monotonic() - began, 1)}
    if not options.dry_run and report.is_conclusive(found):
        _record_verdict(found, config.mlflow)
    write_summary(options.summary, found)
    for line in report.text(found):
        typer.echo(line)
    if disorder is not None:
        for line in by_event_time.text(found["event_time"]):
            typer.echo(line)
    if not report.passed(found):
        typer.echo(_what_now(found, options))
        raise typer.Exit(1)
    if nothing := report.nothing_audited(found):
        raise UserError(f"can't audit: {nothing}")


def _follow(
    running: KafkaAudit,
    update: Callable[[KafkaAudit, Counter[str]], None],
    keys: int,
    patience: float,
    checked: int,
    in_store: Sequence[Any],
) -> tuple[int, list[Any]]:
    """Audits what comes until Ctrl-C; reports at once what differs, and each minute what is missing, or wrong in the online store, where so
    many keys were ``checked`` so far."""
    in_store = list(in_store)
    looked = time.monotonic()
    with until_interrupted() as interrupted:
        while not interrupted():
            if not running.catch_up():
                time.sleep(_LOOK_EVERY_S)
            for mismatch in running.auditor.finish():
                typer.echo(f"{mismatch.what} of {mismatch.scored.where}: {mismatch.cause}, {mismatch.sentence}")
            if time.monotonic() > looked + _LOOK_AT_ALL_EVERY_S:
                for incomplete in running.check_complete():
                    typer.echo(f"{incomplete.where}: {incomplete.cause}, {incomplete.sentence}")
                checked, found = _check_store(running, keys, patience)
                known = {(one.entity, one.key) for one in in_store}
                in_store += [one for one in found if (one.entity, one.key) not in known]
                looked = time.monotonic()
            update(running, Counter(mismatch.cause for mismatch in in_store))
    return checked, in_store


def _check_store(running: KafkaAudit, keys: int, patience: float) -> tuple[int, list[Any]]:
    # Of a feature set on which nothing was decided the store need not know anything.
    decided = running.auditor.audit.tally.audited or (running.since is not None and running.since.audited)
    return running.check_store(keys if decided else 0, patience)


def _is_acceptable(found: Mapping[str, Any], reason: str | None) -> bool:
    """Whether somebody answers for what differs, and nothing of it is the online store's, which can be made right."""
    return reason is not None and not found["store"]["mismatches"]


def _accepted(found: Mapping[str, Any], reason: str | None) -> list[Accepted]:
    if reason is None or report.passed(found):
        return []
    by = provenance(None)
    return [Accepted(by.date, by.author, " ".join(reason.split()), found["causes"])]


def _what_now(found: Mapping[str, Any], options: AuditOptions) -> str:
    if found["store"]["mismatches"]:
        also = "; it can't be accepted" if options.accept else ""
        return f"`tidemark rebuild-online` writes the online store again{also}"
    if options.accept:
        return "accepted: the next audit goes on from here"
    if options.everything:
        return "the next audit finds this again, until it is explained: tidemark audit --all --accept REASON"
    return "tidemark audit --all looks at every decision"


def _record_verdict(found: dict[str, Any], tracking_uri: str) -> None:
    mismatches = report.mismatches(found)
    audited = found["audited"] + (found["since"] or {"audited": 0})["audited"]
    accepted = [*(found["since"] or {"accepted": []})["accepted"], *found.get("accepted", [])]
    at = datetime.now(UTC).isoformat(timespec="seconds")
    verdict = mlflow_audits.AuditVerdict(not mismatches, audited, mismatches, at, report.accepted_text(accepted))
    mlflow_audits.record(found["features_digest"], verdict, tracking_uri)
