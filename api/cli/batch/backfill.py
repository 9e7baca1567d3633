"""``tidemark backfill`` and ``tidemark features export``: features of the past, computed and handed out."""

import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.conventions import progress, write_summary
from features.errors import UserError
from features.history.moments import day_range

if TYPE_CHECKING:
    from features.definitions import FeatureSet
    from features.offline.storage import Storage

FeaturesOption = Annotated[str, typer.Option(help="The feature set.")]
FromOption = Annotated[str, typer.Option("--from", metavar="DATE", help="The first day, UTC.")]
ToOption = Annotated[str, typer.Option("--to", metavar="DATE", help="The day after the last, UTC.")]
StoreOption = Annotated[
    str | None, typer.Option(metavar="URL", help="The offline store, a folder or s3://…; TIDEMARK_OFFLINE's, else offline in the home.")
]
SummaryOption = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the summary here.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(backfill)
    group = typer.Typer(no_args_is_help=True, help="Features of the past, as files.")
    # With a callback a group of one command stays a group.
    group.callback()(_features)
    group.command()(export)
    app.add_typer(group, name="features")


def backfill(
    features: FeaturesOption,
    begin: FromOption,
    end: ToOption,
    store: StoreOption = None,
    views: Annotated[bool, typer.Option(help="Fill the user views' tables too, for Feast's historical features.")] = True,
    memory: Annotated[str, typer.Option(help="The heap of Spark's JVM; its sorts spill to disk beyond.")] = "2g",
    summary: SummaryOption = None,
) -> None:
    """Compute a feature set over archived transactions and labels, point in time, by Spark.

    All that is archived before --to is read; the days from --from on are written, those excepted that are there already from the same
    definition and the same state of the archive. So a run that was interrupted goes on where it was when the command is given again.
    """
    from features.backfill import spark_backfill
    from features.backfill.plan import plan_backfill
    from features.offline import spark_session
    from infra.local import jars, java, services

    started = time.monotonic()
    place = _store(store)
    plan = plan_backfill(place, _feature_set(features), *_days(begin, end), views)
    missing = plan.missing
    if missing:
        runtime, connectors = java.for_spark().executable, jars.SPARK.paths()
        with progress(f"{features}, days", len(missing)) as advance:
            log = services.home_from_environment() / "logs" / "spark-backfill.log"
            spark = spark_session.start("tidemark backfill", runtime, connectors, place, memory, log=log)

            def done(days: Sequence[date]) -> None:
                advance(len(days))

            try:
                spark_backfill.backfill(plan, spark, done)
            finally:
                spark.stop()
    seconds = time.monotonic() - started
    write_summary(
        summary,
        {
            "features": features,
            "features_digest": plan.feature_set.digest,
            "archive": {"table": plan.archive.identity, "version": plan.archive.version},
            "days": len(plan.days),
            "computed": len(missing),
            "tables": {target.table.name: target.edition for target in plan.targets},
            "seconds": round(seconds, 3),
        },
    )
    typer.echo(f"{len(missing)} of {len(plan.days)} days computed in {seconds:.1f} s, in {', '.join(t.table.name for t in plan.targets)}")


def _features() -> None:
    """Features of the past, as files."""


def export(
    begin: FromOption,
    end: ToOption,
    out: Annotated[str, typer.Option(metavar="DIR", help="An empty or new folder, or an s3:// prefix.")],
    features: FeaturesOption = "fraud_v1",
    served: Annotated[bool, typer.Option("--served/--backfill", help="As decisions used them, or as recomputed from the archive.")] = True,
    store: StoreOption = None,
    summary: SummaryOption = None,
) -> None:
    """Write all features of a range, no list of entities needed: a Parquet file a day, a float32 column a feature."""
    from features.backfill.export import export_backfill, export_served
    from features.offline.storage import Storage

    write = export_served if served else export_backfill
    with progress("transactions", None) as advance:
        done = write(_store(store), _feature_set(features), *_days(begin, end), Storage.of(out), advance)
    versions = list(done.archive_versions)
    write_summary(summary, {"features": features, "rows": done.rows, "days": done.days, "archive_versions": versions, "out": out})
    typer.echo(f"{done.rows:,} transactions of {done.days} days, in {out}")
    if len(versions) > 1:
        typer.echo(
            f"note: its days were computed from different states of the archive (commits {versions[0]} to {versions[-1]}); "
            f"`tidemark backfill --features {features} --from {begin} --to {end}` computes all from the present one",
            err=True,
        )


def _store(url: str | None) -> "Storage":
    from api.settings import offline_store
    from infra.local import services

    return offline_store(services.home_from_environment(), url)


def _days(begin: str, end: str) -> tuple[date, date]:
    day_range(begin, end)
    return date.fromisoformat(begin), date.fromisoformat(end)


def _feature_set(name: str) -> "FeatureSet":
    from features.definitions import FEATURE_SETS

    if name not in FEATURE_SETS:
        raise UserError(f"there is no feature set {name!r}; choose from {', '.join(FEATURE_SETS)}")
    return FEATURE_SETS[name]
