"""``tidemark features export``: features of the past, as files."""

import typer

from api.cli.conventions import progress, write_summary
from api.cli.offline.days import days_between
from api.cli.offline.options import ExportOptions
from api.deployment import feature_set_of
from api.offline_store import archive_store
from features.backfill.export import export_backfill, export_served
from features.offline.storage import Storage
from infra.local import services


def run(options: ExportOptions) -> None:
    """As ``tidemark export`` promises."""
    begin, end = options.begin, options.end
    feature_set = feature_set_of(options.features)
    write = export_served if options.served else export_backfill
    with progress("transactions", None) as advance:
        done = write(
            archive_store(services.home_from_environment(), options.store),
            feature_set,
            *days_between(begin, end),
            Storage.of(options.out),
            advance,
        )
    versions = list(done.archive_versions)
    write_summary(
        options.summary,
        {"features": feature_set.name, "rows": done.rows, "days": done.days, "archive_versions": versions, "out": options.out},
    )
    typer.echo(f"{done.rows:,} transactions of {done.days} days, in {options.out}")
    if len(versions) > 1:
        typer.echo(
            f"note: its days were computed from different states of the archive (commits {versions[0]} to {versions[-1]}); "
            f"`tidemark backfill --features {feature_set.name} --from {begin} --to {end}` computes all from the present one",
            err=True,
        )
