"""``tidemark monitor``: is what serves still good?"""

from collections.abc import Sequence

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import typer

from api.cli.conventions import say, write_summary
from api.cli.models.alerting import alerting
from api.cli.models.choices import parse_costs
from api.cli.models.options import MonitorOptions
from api.offline_store import archive_store
from api.settings import Settings
from features.errors import UserError
from features.history.label_delay import parse_labels_after
from features.history.moments import day_ms, day_range, moment
from models.monitoring.report import VersionReport, text, version_report
from models.registry.mlflow_reference import reference_of
from streams.alerts import kafka_alerts
from streams.alerts.performance import Finding
from streams.archive.served.parquet_tables import ServedArchive
from streams.messages.events import Alert


def run(options: MonitorOptions) -> None:
    """As ``tidemark monitor`` promises."""
    costs, delay = parse_costs(options.cost or []), parse_labels_after(options.labels_after, labelled=True)
    if delay is None:
        raise UserError("--labels-after none leaves nothing to judge by; give how long labels take, such as 7d")
    first, after = day_range(options.begin, options.end)
    as_of = None if options.as_of is None else day_ms("--as-of", options.as_of)
    settings = Settings.resolve(require_services=False)
    registry = settings.registry()
    archive = ServedArchive.of(archive_store(settings.home, options.store))
    as_of = archive.last if as_of is None else as_of
    begin, end = archive.first if first is None else first, min(archive.last if after is None else after - 1, as_of) + 1
    digests = archive.model_digests(begin, end)
    if not digests:
        raise UserError(
            f"nothing was decided from {moment(begin)} to {moment(end)}; the archive has decisions from {moment(archive.first)} on"
        )
    references = {digest: reference_of(digest, registry) for digest in digests}
    features = sorted({name for reference in references.values() if reference is not None for name in reference.features})
    say(f"looking at what {len(digests)} versions decided from {moment(begin)} to {moment(end)}, as known by {moment(as_of)}")
    rows = archive.outcomes(begin, end, as_of, delay, features)
    by = rows["model_digest"].cast(pa.string())
    found = [version_report(rows.filter(pc.equal(by, digest)), references[digest], as_of, delay, costs) for digest in digests]
    summary = {
        "from": moment(begin),
        "to": moment(end),
        "as_of": moment(as_of),
        "labels_after_ms": delay,
        "costs": msgspec.to_builtins(costs),
        "versions": msgspec.to_builtins(found),
    }
    alerts = _settle(settings, found) if options.alert else []
    write_summary(options.summary, {**summary, "alerts": msgspec.to_builtins(alerts)} if options.alert else summary)
    for report in found:
        for line in text(report):
            typer.echo(line)
    for alert in alerts:
        typer.echo(f"alert {alert.alert_id} {alert.status}: {alert.sentence}")


def _settle(settings: Settings, reports: Sequence[VersionReport]) -> list[Alert]:
    """Writes the alerts that follow from these reports."""
    findings = [
        Finding(report.version, report.digest, report.arrivals, report.performance.decisions)
        for report in reports
        if report.arrivals is not None
    ]
    with alerting(settings) as (kafka, seal):
        return kafka_alerts.settle(kafka, seal, findings)
