"""``tidemark training-set``: the rows to learn from, made ahead of training, by Spark where the archive is large."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from pyspark.sql import SparkSession

from api.cli.conventions import write_summary
from api.cli.models.choices import immature_of
from api.cli.options import FeaturesOption, FromOption, MemoryOption, StoreOption, SummaryOption, ToOption
from api.deployment import feature_set_of
from api.offline_store import offline_store
from api.settings import Settings
from features.definitions import DAY
from features.errors import UserError
from features.history.label_delay import parse_labels_after
from features.history.moments import day_ms, day_range
from features.offline import spark_session
from features.offline.storage import Storage
from infra.local import jars, java
from models.training_set.thinning import thin_table
from streams.archive.served.parquet_folder import FolderDescription, clear, describe, write_rows
from streams.archive.served.parquet_tables import ServedArchive
from streams.archive.served.spark_training_set import write_training_rows

# The weeks that choose and judge a model, and those of the gate, lie within.
_WHOLE_WEEKS = 5


def training_set(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the Parquet files go; what is there is replaced.")],
    store: StoreOption = None,
    begin: FromOption = None,
    end: ToOption = None,
    as_of: Annotated[str | None, typer.Option(metavar="DATE", help="Take the labels known by then; else by the archive's end.")] = None,
    labels_after: Annotated[str | None, typer.Option(metavar="DURATION", help="How long labels take; 7d.")] = None,
    features: FeaturesOption = None,
    immature: Annotated[
        str,
        typer.Option(
            metavar="left-out|weighted",
            help="What becomes of transactions younger than labels take; weighted by the share known at their age.",
        ),
    ] = "left-out",
    keep_every: Annotated[int, typer.Option(min=1, help="Keep one in so many older legitimate transactions, so many times as heavy.")] = 1,
    whole_weeks: Annotated[
        int, typer.Option(min=_WHOLE_WEEKS, help="Of so many newest weeks of known labels all are kept, for they choose and judge.")
    ] = _WHOLE_WEEKS,
    engine: Annotated[str, typer.Option(metavar="spark|local", help="Both make the same; local holds all in memory.")] = "spark",
    memory: MemoryOption = "2g",
    summary: SummaryOption = None,
) -> None:
    """Join archived decisions, their vectors as served, with their labels into a training set for `tidemark train --data FOLDER`."""
    started = time.monotonic()
    if engine not in ("spark", "local"):
        raise UserError(f"--engine {engine} is not an engine; use spark or local")
    feature_set, young = feature_set_of(features), immature_of(immature)
    settings = Settings.resolve(require_services=False)
    start_ms, end_ms = day_range(begin, end)
    archive = ServedArchive.of(offline_store(settings.home, store))
    known = archive.last if as_of is None else day_ms("--as-of", as_of)
    delay = parse_labels_after(labels_after, True) or 0
    first, last = archive.first if start_ms is None else start_ms, archive.last + 1 if end_ms is None else end_ms
    whole_from = min(known - delay + 1, last) - whole_weeks * 7 * DAY
    when = first, last, known, delay
    try:
        clear(folder)
        if engine == "spark":
            with _spark(settings.home, archive.store, memory) as spark:
                rows, unknown, unlabelled = write_training_rows(spark, archive, folder, feature_set, *when, keep_every, whole_from, young)
        else:
            found = archive.rows(feature_set, *when, young)
            kept = thin_table(found.table, keep_every, whole_from)
            write_rows(folder, kept)
            rows, unknown, unlabelled = len(kept), found.immature, found.unlabelled
        made = FolderDescription(
            feature_set.name,
            feature_set.digest,
            *when,
            keep_every,
            whole_from,
            unknown,
            unlabelled,
            rows,
            archive.snapshot,
            young,
        )
        describe(folder, made)
    except OSError as failure:
        raise UserError(f"{folder} can't be written: {failure.strerror}; name a folder where there is room") from None
    seconds = round(time.monotonic() - started, 3)
    write_summary(summary, {"folder": str(folder), "rows": rows, "label_unknown": unknown, "unlabelled": unlabelled, "seconds": seconds})
    left = f"left out: {unknown:,} whose label was not known, {unlabelled:,} blocked without one"
    typer.echo(f"{rows:,} rows in {folder} in {seconds:.1f} s; {left}")


@contextmanager
def _spark(home: Path, store: Storage, memory: str) -> Iterator[SparkSession]:
    """Spark for the block, its log among those of the services."""
    log = home / "logs" / "spark-training-set.log"
    spark = spark_session.start("tidemark training-set", java.for_spark().executable, jars.SPARK.paths(), store, memory, log=log)
    try:
        yield spark
    finally:
        spark.stop()
