"""Archives topics by Spark Structured Streaming: from Kafka, committed records only, into tables of the offline store, each record once.

Of each batch a task writes one Kafka partition's rows, a file a day, under names that follow from topic, partition and first offset, so a
batch that is tried again writes the same files again. Then they are committed all at once, and with them up to which offset of each
partition the table now goes. Spark's checkpoint fixes the offsets of a batch before it begins: one that the table has already is not
committed again, and one that doesn't go on where the table ends is refused.
"""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from features.errors import UserError
from features.offline.parquet_tables import OfflineTable, WrittenFile
from features.offline.storage import Storage
from streams.archive.archived_topics import ARCHIVED
from streams.archive.position import CheckpointPosition, Offsets, as_starting_offsets, require_agreement
from streams.archive.spark_checkpoint import Checkpoint
from streams.archive.spark_task import RESULT, ArchiveTask
from streams.kafka.client import KafkaClients
from streams.messages.record import UNSTAMPED
from streams.messages.topics import STAMPED

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

WRITER = "archive"
# What a task decodes at once.
SPARK_SETTINGS = {
    "spark.sql.execution.arrow.maxRecordsPerBatch": "10000",
    "spark.sql.execution.arrow.maxBytesPerBatch": str(16 << 20),
}
_LOOK_EVERY_S = 0.1

Report = Callable[[str, int, int], None]
"""Gets each batch that was committed: its topic, how many rows, and how many of these are of refused records."""


class TopicArchive:
    """One topic on its way into its table. ``partitions`` is how many the topic has; ``currency`` and ``answer_key`` are the
    deployment's."""

    def __init__(self, name: str, store: Storage, kafka: KafkaClients, partitions: int, currency: str, answer_key: str) -> None:
        self.name = name
        self.failure: BaseException | None = None
        self._kafka = kafka
        self._partitions = partitions
        self._currency, self._answer_key = currency, answer_key
        self._table = OfflineTable(store, name, ARCHIVED[name].schema, currency)
        self._checkpoint = Checkpoint(store.at("_checkpoints", WRITER, name), name)

    def check(self) -> None:
        """Raises UserError if checkpoint and table disagree, or the table is in another currency."""
        self._table.require_currency(self._currency)
        position = self._checkpoint.position()
        if position is not None:
            self._require_agreement(self._held(), position)

    @property
    def table_url(self) -> str:
        """Where its rows are."""
        return self._table.storage.url

    @property
    def checkpoint_url(self) -> str:
        """Where Spark keeps how far it has come."""
        return self._checkpoint.storage.url

    def start(self, spark: "SparkSession", every_s: float | None, report: Report) -> "StreamingQuery":
        """Starts the query: a batch every so many seconds, or all that there is now and no more (None).

        What goes wrong in a batch ends the query, and is left in ``failure``.
        """
        held = self._held()
        source = {
            **self._kafka.spark_options(),
            "subscribe": self.name,
            "kafka.isolation.level": "read_committed",
            "failOnDataLoss": "true",
            # Counts only where there is no checkpoint; if that was lost, the table still knows where it ends.
            "startingOffsets": as_starting_offsets(self.name, held, self._partitions) if held else "earliest",
            "includeHeaders": "true",
            "maxOffsetsPerTrigger": str(ARCHIVED[self.name].at_once),
        }
        records = spark.readStream.format("kafka").options(**source).load()
        # As everywhere, what a sender has put where the broker should stamp is not believed.
        stamp = f"IF(timestampType = 1, unix_millis(timestamp), {UNSTAMPED})" if self.name in STAMPED else "unix_millis(timestamp)"
        records = records.selectExpr("partition", "offset", f"{stamp} AS timestamp", "key", "value", "headers")
        writer = records.writeStream.queryName(self.name).option("checkpointLocation", self._checkpoint.storage.spark_url)
        writer = writer.foreachBatch(lambda batch, number: self._take(batch, number, report))
        return (writer.trigger(availableNow=True) if every_s is None else writer.trigger(processingTime=f"{every_s} seconds")).start()

    def _take(self, batch: "DataFrame", number: int, report: Report) -> None:
        try:
            held, end = self._held(), self._checkpoint.end(number)
            if held == end:
                return
            self._require_agreement(held, CheckpointPosition(number, self._checkpoint.begin(number)))
            task = ArchiveTask(self.name, self._table.storage, self._partitions, self._currency, self._answer_key)
            written = batch.mapInArrow(task, RESULT).collect()
            files = [WrittenFile(row.path, row.day, row.rows, row.bytes) for row in written]
            # How many offsets lie before its end: a number that rises from batch to batch, whatever becomes of the checkpoint.
            committed = self._table.commit(files, WRITER, sum(end.values()), positions={str(p): offset for p, offset in end.items()})
            if committed:
                report(self.name, sum(file.rows for file in files), sum(row.refused for row in written))
        except BaseException as error:
            self.failure = error
            raise

    def _held(self) -> Offsets:
        found = self._table.positions(WRITER, map(str, range(self._partitions)))
        return {int(partition): offset for partition, offset in found.items()}

    def _require_agreement(self, held: Offsets, position: CheckpointPosition) -> None:
        require_agreement(self.name, self._table.storage.url, held, self._checkpoint.storage.url, position)


def run(
    spark: "SparkSession", archives: Sequence[TopicArchive], every_s: float | None, report: Report, stopped: Callable[[], bool]
) -> None:
    """Archives until all is done (``every_s`` None) or it is ``stopped``; what is under way then is given up, the next run takes it anew.

    Raises UserError if one of the topics can't be archived: where all is to be done, once it is for the others; else at once, so that
    whoever looks after it sees that.
    """
    queries: list[tuple[TopicArchive, StreamingQuery]] = []
    try:
        for archive in archives:
            queries.append((archive, archive.start(spark, every_s, report)))  # noqa: PERF401  # those that were started are to be stopped
        while not stopped() and any(query.isActive for _, query in queries):
            if every_s is not None and any(archive.failure is not None for archive, _ in queries):
                break
            time.sleep(_LOOK_EVERY_S)
        # A query whose batch has failed may be active for a moment still.
        ended = [(archive, archive.failure or (None if query.isActive else query.exception())) for archive, query in queries]
    finally:
        for _, query in queries:
            query.stop()
    for archive, failure in ended:
        if failure is not None:
            raise _said(archive, failure)


def _said(archive: TopicArchive, failure: BaseException) -> UserError:
    if isinstance(failure, UserError):
        return failure
    cause = str(failure).strip().partition("\n")[0]
    if "data may have been lost" in str(failure) or "failOnDataLoss" in str(failure):
        return UserError(
            f"{archive.name} no longer has all that was to be archived next ({cause}): raise its retention.ms; "
            f"to go on without what is lost, move {archive.table_url} and {archive.checkpoint_url} elsewhere"
        )
    return UserError(f"{archive.name} can't be archived ({cause}); see `tidemark logs spark-archive`")
