"""Spark Structured Streaming: count and mean amount of a user's last 24 hours, from a list kept by transformWithState."""

import os
import signal
import sys

from pyspark.sql import Row, SparkSession
from pyspark.sql.functions import col, from_json, struct, to_json
from pyspark.sql.streaming import StatefulProcessor

BOOTSTRAP, SOURCE, TARGET, GROUP, JARS = (os.environ[name] for name in ("BOOTSTRAP", "SOURCE", "TARGET", "GROUP", "JARS"))
DAY = 86_400_000

TRANSACTION = "transaction_id STRING, user_id STRING, event_time BIGINT, amount BIGINT"
RECENT = "times ARRAY<BIGINT>, amounts ARRAY<BIGINT>"
FOUND = "user_id STRING, transaction_id STRING, tx_count_24h BIGINT, mean_amount_24h DOUBLE"


class LastDay(StatefulProcessor):
    """All the rows of a user in a micro-batch, in order of event time, against what its state keeps of the day before."""

    def init(self, handle):
        self.recent = handle.getValueState("recent", RECENT)

    def handleInputRows(self, key, rows, timerValues):  # noqa: N802, N803
        known = self.recent.get()
        recent = list(zip(*known, strict=True)) if known else []
        for row in sorted(rows, key=lambda row: row.event_time):
            recent = [event for event in recent if event[0] >= row.event_time - DAY]
            count = len(recent)
            yield Row(
                user_id=row.user_id,
                transaction_id=row.transaction_id,
                tx_count_24h=count,
                mean_amount_24h=sum(event[1] for event in recent) / count if count else None,
            )
            recent.append((row.event_time, row.amount))
        self.recent.update(tuple(map(list, zip(*recent, strict=True))))

    def close(self):
        pass


def session():
    os.environ["PYSPARK_PYTHON"] = sys.executable
    settings = {
        "spark.master": "local[*]",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "2g",
        "spark.driver.extraClassPath": os.pathsep.join(jar.removeprefix("file://") for jar in JARS.split(";")),
        "spark.ui.enabled": "false",
        "spark.log.level": "ERROR",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.streaming.stateStore.providerClass": "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider",
    }
    builder = SparkSession.builder.appName(GROUP)
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def main():
    spark = session()
    source = {"kafka.bootstrap.servers": BOOTSTRAP, "subscribe": SOURCE, "startingOffsets": "earliest", "maxOffsetsPerTrigger": "50000"}
    records = spark.readStream.format("kafka").options(**source).load()
    transactions = (
        records.select(from_json(col("value").cast("string"), TRANSACTION).alias("transaction"))
        .select("transaction.*")
        .where("amount IS NOT NULL")  # a label has none
    )
    found = transactions.groupBy("user_id").transformWithState(LastDay(), FOUND, "Update", "None")
    sent = found.select(col("user_id").alias("key"), to_json(struct("transaction_id", "tx_count_24h", "mean_amount_24h")).alias("value"))
    target = {"kafka.bootstrap.servers": BOOTSTRAP, "topic": TARGET, "checkpointLocation": f"checkpoint-{GROUP}"}
    query = sent.writeStream.format("kafka").options(**target).outputMode("update").start()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    query.awaitTermination()


if __name__ == "__main__":
    main()
