"""``tidemark training-set``: the rows to learn from, made ahead of training, by Spark where the archive is large."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from pyspark.sql import SparkSession

from api.cli.conventions import write_summary
from api.cli.models.choices import immature_of
from api.cli.offline.options import TrainingSetOptions
from api.deployment import feature_set_of
from api.offline_store import archive_store
from api.settings import Settings
from features.definitions import DAY
from features.errors import UserError
from features.history.label_delay import parse_labels_after
from features.history.moments import day_ms, day_range
from features.offline import spark_session
from features.offline.spark_session import require_heap
from features.offline.storage import Storage
from infra.local import jars, java
from models.training_set.thinning import thin_table
from streams.archive.served.parquet_folder import FolderDescription, clear, describe, write_rows
from streams.archive.served.parquet_tables import ServedArchive
from streams.archive.served.spark_training_set import write_training_rows


def run(options: TrainingSetOptions) -> None:
    """As ``tidemark training_set`` promises."""
    started = time.monotonic()
    if options.engine not in ("spark", "local"):
        raise UserError(f"--engine {options.engine} is not an engine; use spark or local")
    require_heap(options.memory)
    feature_set, young = feature_set_of(options.features), immature_of(options.immature)
    settings = Settings.resolve(require_services=False)
    start_ms, end_ms = day_range(options.begin, options.end)
    archive = ServedArchive.of(archive_store(settings.home, options.store))
    known = archive.last if options.as_of is None else day_ms("--as-of", options.as_of)
    delay = parse_labels_after(options.labels_after, True) or 0
    first, last = archive.first if start_ms is None else start_ms, archive.last + 1 if end_ms is None else end_ms
    whole_from = min(known - delay + 1, last) - options.whole_weeks * 7 * DAY
    when = first, last, known, delay
    try:
        clear(options.folder)
        if options.engine == "spark":
            with _spark(settings.home, archive.store, options.memory) as spark:
                rows, unknown, unlabelled = write_training_rows(
                    spark, archive, options.folder, feature_set, *when, options.keep_every, whole_from, young
                )
        else:
            found = archive.rows(feature_set, *when, young)
            kept = thin_table(found.table, options.keep_every, whole_from)
            write_rows(options.folder, kept)
            rows, unknown, unlabelled = len(kept), found.immature, found.unlabelled
        made = FolderDescription(
            feature_set.name,
            feature_set.digest,
            *when,
            options.keep_every,
            whole_from,
            unknown,
            unlabelled,
            rows,
            archive.snapshot,
            young,
        )
        describe(options.folder, made)
    except OSError as failure:
        raise UserError(f"{options.folder} can't be written: {failure.strerror}; name a folder where there is room") from None
    seconds = round(time.monotonic() - started, 3)
    write_summary(
        options.summary,
        {"folder": str(options.folder), "rows": rows, "label_unknown": unknown, "unlabelled": unlabelled, "seconds": seconds},
    )
    left = f"left out: {unknown:,} whose label was not known, {unlabelled:,} blocked without one"
    typer.echo(f"{rows:,} rows in {options.folder} in {seconds:.1f} s; {left}")


@contextmanager
def _spark(home: Path, store: Storage, memory: str) -> Iterator[SparkSession]:
    """Spark for the block, its log among those of the services."""
    log = home / "logs" / "spark-training-set.log"
    spark = spark_session.start("tidemark training-set", java.for_spark().executable, jars.SPARK.paths(), store, memory, log=log)
    try:
        yield spark
    finally:
        spark.stop()
