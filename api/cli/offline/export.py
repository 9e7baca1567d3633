"""``tidemark features export``: features of the past, as files."""

from typing import Annotated

import typer

from api.cli.conventions import progress, write_summary
from api.cli.offline.days import days_between
from api.cli.options import DayAfterOption, FeaturesOption, FirstDayOption, StoreOption, SummaryOption
from api.deployment import feature_set_of
from api.offline_store import offline_store
from features.backfill.export import export_backfill, export_served
from features.offline.storage import Storage
from infra.local import services

features = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@features.callback()
def _features() -> None:
    """Features of the past, as files."""  # with a callback a group of one command stays a group


@features.command()
def export(
    begin: FirstDayOption,
    end: DayAfterOption,
    out: Annotated[str, typer.Option(metavar="DIR", help="An empty or new folder, or an s3:// prefix.")],
    features: FeaturesOption = None,
    served: Annotated[bool, typer.Option("--served/--backfill", help="As decisions used them, or as recomputed from the archive.")] = True,
    store: StoreOption = None,
    summary: SummaryOption = None,
) -> None:
    """Write all features of a range, no list of entities needed: a Parquet file a day, a float32 column a feature."""
    feature_set = feature_set_of(features)
    write = export_served if served else export_backfill
    with progress("transactions", None) as advance:
        done = write(
            offline_store(services.home_from_environment(), store), feature_set, *days_between(begin, end), Storage.of(out), advance
        )
    versions = list(done.archive_versions)
    write_summary(summary, {"features": feature_set.name, "rows": done.rows, "days": done.days, "archive_versions": versions, "out": out})
    typer.echo(f"{done.rows:,} transactions of {done.days} days, in {out}")
    if len(versions) > 1:
        typer.echo(
            f"note: its days were computed from different states of the archive (commits {versions[0]} to {versions[-1]}); "
            f"`tidemark backfill --features {feature_set.name} --from {begin} --to {end}` computes all from the present one",
            err=True,
        )
