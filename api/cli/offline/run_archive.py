"""``tidemark archive``: the topics, kept as tables of the offline store."""

import signal
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext, suppress

import typer

from api.answer_key import answer_key
from api.cli.conventions import INTERRUPTED, progress, until_interrupted, write_summary
from api.cli.offline.options import ArchiveOptions
from api.offline_store import offline_store
from api.settings import Settings
from features.errors import UserError
from features.offline import spark_session
from features.offline.parquet_tables import OfflineTable
from features.offline.spark_session import require_heap
from features.offline.storage import Storage
from infra.local import jars, java
from streams.archive import spark_archive
from streams.archive.archived_topics import ARCHIVED
from streams.kafka.admin import partition_counts


def run(options: ArchiveOptions) -> None:
    """As ``tidemark archive`` promises."""
    settings = Settings.resolve(require_services=False)
    place = offline_store(settings.home, options.store)
    require_heap(options.memory)
    place.require_writable()
    done: dict[str, object] = {"store": place.url}
    interrupted = False
    if options.once or not options.compact:
        began = time.monotonic()
        rows, refused, interrupted = _archive(settings, place, options.memory, None if options.once else options.every)
        seconds = time.monotonic() - began
        total = sum(rows.values())
        done |= {"rows": rows, "refused": refused, "seconds": round(seconds, 3), "rate": round(total / seconds, 1)}
        each = ", ".join(f"{topic} {_counted(count, refused[topic])}" for topic, count in rows.items())
        typer.echo(f"{total:,} rows archived in {seconds:.1f} s, {total / seconds:,.0f}/s, in {place.url}: {each}")
    if options.compact and not interrupted:
        joined = _compact(place)
        done["files_joined"] = joined
        typer.echo(f"{sum(joined.values()):,} small files joined in {place.url}")
    write_summary(options.summary, done)
    if interrupted and options.once:
        raise typer.Exit(INTERRUPTED)


def _archive(settings: Settings, place: Storage, memory: str, every_s: float | None) -> tuple[Mapping[str, int], Mapping[str, int], bool]:
    """The rows archived of each topic, those of them that are of refused records, and whether it was stopped."""
    kafka, key = settings.agreed_kafka(), answer_key(settings.home)
    partitions = partition_counts(kafka)
    topics = _topics(partitions)
    archives = [spark_archive.TopicArchive(topic, place, kafka, partitions[topic], settings.facts.currency, key) for topic in topics]
    for each in archives:
        each.check()
    rows, refused = Counter(dict.fromkeys(topics, 0)), Counter(dict.fromkeys(topics, 0))
    spark = spark_session.start(
        "tidemark archive",
        java.for_spark().executable,
        jars.SPARK.paths(),
        place,
        memory,
        settings=spark_archive.SPARK_SETTINGS,
        log=settings.home / "logs" / "spark-archive.log",
    )
    with until_interrupted(signal.SIGTERM) as stopped, progress("archiving", total=None) as advance:

        def report(topic: str, count: int, of_refused: int) -> None:
            rows[topic] += count
            refused[topic] += of_refused
            advance(count)
            if every_s is not None and count:
                typer.echo(f"{topic}: {_counted(count, of_refused)} rows")

        try:
            spark_archive.run(spark, archives, every_s, report, stopped)
        except Exception:
            # What has stopped this may have ended Spark's JVM too.
            if not stopped():
                raise
        finally:
            with suppress(Exception) if stopped() else nullcontext():
                spark.stop()
        return rows, refused, stopped()


def _counted(rows: int, refused: int) -> str:
    return f"{rows:,} ({refused:,} refused)" if refused else f"{rows:,}"


def _topics(partitions: Mapping[str, int]) -> list[str]:
    found = [topic for topic in ARCHIVED if topic in partitions]
    if not found:
        raise UserError("Kafka has none of the topics to archive; create them with `tidemark up`")
    return found


def _compact(place: Storage) -> dict[str, int]:
    """How many files of each table were joined."""
    tables = {topic: OfflineTable(place, topic, archived.schema) for topic, archived in ARCHIVED.items()}
    return {topic: table.compact() for topic, table in tables.items() if table.exists()}
