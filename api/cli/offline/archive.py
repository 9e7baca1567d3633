"""``tidemark archive``: the topics, kept as tables of the offline store."""

import signal
import time
from collections import Counter
from collections.abc import Mapping
from typing import Annotated

import typer

from api.cli.conventions import INTERRUPTED, progress, until_interrupted, write_summary
from api.cli.options import MemoryOption, StoreOption, SummaryOption
from api.offline_store import offline_store
from api.settings import Settings
from features.errors import UserError
from features.offline import spark_session
from features.offline.parquet_tables import OfflineTable
from features.offline.storage import Storage
from infra.local import jars, java
from streams.archive.archived_topics import ARCHIVED
from streams.archive.spark_archive import SPARK_SETTINGS, TopicArchive, run
from streams.kafka.admin import partition_counts


def archive(
    once: Annotated[bool, typer.Option("--once", help="Archive what is there now, and exit.")] = False,
    compact: Annotated[
        bool, typer.Option("--compact", help="Join small files: after --once, else instead of archiving. An archive may run meanwhile.")
    ] = False,
    store: StoreOption = None,
    every: Annotated[float, typer.Option(min=1, help="Seconds from one batch to the next, without --once.")] = 30.0,
    memory: MemoryOption = "1g",
    summary: SummaryOption = None,
) -> None:
    """Keep transactions, labels, decisions and the scoring log as Parquet files by day, each record once.

    May be killed at any moment: the next run continues where this one stopped.
    """
    settings = Settings.resolve(require_services=False)
    place = offline_store(settings.home, store)
    done: dict[str, object] = {"store": place.url}
    interrupted = False
    if once or not compact:
        began = time.monotonic()
        rows, interrupted = _archive(settings, place, memory, None if once else every)
        seconds = time.monotonic() - began
        total = sum(rows.values())
        done |= {"rows": rows, "seconds": round(seconds, 3), "rate": round(total / seconds, 1)}
        each = ", ".join(f"{topic} {count:,}" for topic, count in rows.items())
        typer.echo(f"{total:,} rows archived in {seconds:.1f} s, {total / seconds:,.0f}/s, in {place.url}: {each}")
    if compact and not interrupted:
        joined = _compact(place)
        done["files_joined"] = joined
        typer.echo(f"{sum(joined.values()):,} small files joined in {place.url}")
    write_summary(summary, done)
    if interrupted and once:
        raise typer.Exit(INTERRUPTED)


def _archive(settings: Settings, place: Storage, memory: str, every_s: float | None) -> tuple[Mapping[str, int], bool]:
    """The rows archived of each topic, and whether it was stopped."""
    kafka = settings.require_kafka()
    partitions = partition_counts(kafka)
    topics = _topics(partitions)
    archives = [TopicArchive(topic, place, kafka, partitions[topic], settings.facts.currency) for topic in topics]
    for each in archives:
        each.check()
    rows = Counter(dict.fromkeys(topics, 0))
    spark = spark_session.start(
        "tidemark archive",
        java.for_spark().executable,
        jars.SPARK.paths(),
        place,
        memory,
        settings=SPARK_SETTINGS,
        log=settings.home / "logs" / "spark-archive.log",
    )
    with until_interrupted(signal.SIGTERM) as stopped, progress("archiving", total=None) as advance:

        def report(topic: str, count: int) -> None:
            rows[topic] += count
            advance(count)
            if every_s is not None and count:
                typer.echo(f"{topic}: {count:,} rows")

        try:
            run(spark, archives, every_s, report, stopped)
        finally:
            spark.stop()
        return rows, stopped()


def _topics(partitions: Mapping[str, int]) -> list[str]:
    found = [topic for topic in ARCHIVED if topic in partitions]
    if not found:
        raise UserError("Kafka has none of the topics to archive; create them with `tidemark up`")
    return found


def _compact(place: Storage) -> dict[str, int]:
    """How many files of each table were joined."""
    tables = {topic: OfflineTable(place, topic, archived.schema) for topic, archived in ARCHIVED.items()}
    return {topic: table.compact() for topic, table in tables.items() if table.exists()}
