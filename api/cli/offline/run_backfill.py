"""``tidemark backfill``: features of the past, computed."""

import time
from collections.abc import Sequence
from datetime import date

import typer

from api.cli.conventions import progress, write_summary
from api.cli.offline.days import days_between
from api.cli.offline.options import BackfillOptions
from api.deployment import feature_set_of
from api.offline_store import archive_store
from features.backfill import spark_backfill
from features.backfill.plan import plan_backfill
from features.offline import spark_session
from features.offline.spark_session import require_heap
from infra.local import jars, java, services


def run(options: BackfillOptions) -> None:
    """As ``tidemark backfill`` promises."""
    started = time.monotonic()
    home = services.home_from_environment()
    place, feature_set = archive_store(home, options.store), feature_set_of(options.features)
    plan = plan_backfill(place, feature_set, *days_between(options.begin, options.end), options.views)
    require_heap(options.memory)
    place.require_writable()
    missing = plan.missing
    if missing:
        runtime, connectors = java.for_spark().executable, jars.SPARK.paths()
        with progress(f"{feature_set.name}, days", len(missing)) as advance:
            log = home / "logs" / "spark-backfill.log"
            spark = spark_session.start("tidemark backfill", runtime, connectors, place, options.memory, log=log)

            def done(days: Sequence[date]) -> None:
                advance(len(days))

            try:
                spark_backfill.backfill(plan, spark, home / "scratch", done)
            finally:
                spark.stop()
    seconds = time.monotonic() - started
    write_summary(
        options.summary,
        {
            "features": feature_set.name,
            "features_digest": plan.feature_set.digest,
            "archive": {"table": plan.archive.identity, "version": plan.archive.version},
            "days": len(plan.days),
            "computed": len(missing),
            "tables": {target.table.name: target.edition for target in plan.targets},
            "seconds": round(seconds, 3),
        },
    )
    typer.echo(f"{len(missing)} of {len(plan.days)} days computed in {seconds:.1f} s, in {', '.join(t.table.name for t in plan.targets)}")
