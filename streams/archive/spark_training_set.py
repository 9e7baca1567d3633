"""The training set of a large archive, made by Spark: row for row, bit for bit what ``served_rows`` and ``sampled`` make in one process."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from features.definitions import FeatureSet
from features.errors import UserError
from features.spark_records import raise_if_file_gone
from streams.archive.served import ORDER, ROW_COLUMNS, nothing_decided, nothing_left
from streams.archive.served_tables import ServedArchive
from streams.topics import DECISIONS, LABELS, SCORING_LOG, TRANSACTIONS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

_KEY = ("user_id", "transaction_id")
_LOG = (
    "partition int, offset bigint, row int, event_time bigint, user_id string, transaction_id string, amount_minor bigint, "
    "features_digest string, refused string"
)
_LABELS = "user_id string, transaction_id string, label_time bigint, is_fraud boolean, event_time bigint, refused string"
_DECISIONS = "user_id string, transaction_id string, decision string, event_time bigint, refused string"


def write_training_rows(
    spark: "SparkSession",
    archive: ServedArchive,
    folder: Path,
    feature_set: FeatureSet,
    begin: int,
    end: int,
    as_of: int,
    labels_after: int,
    keep_every: int,
    whole_from: int,
) -> tuple[int, int, int]:
    """Writes the rows as Parquet files of the folder, in place of what lay there; returns how many, and how many were left out as immature
    and as blocked unseen. The session must be a local one. Raises UserError as ``served_rows``, and if the archive is compacted meanwhile.
    """
    from pyspark.sql import functions as f

    try:
        rows = _rows(spark, archive, feature_set, begin, end, as_of, labels_after).cache()
        counted = rows.agg(
            f.count("*").alias("all"),
            f.count_if(~f.col("mature")).alias("immature"),
            f.count_if(f.col("mature") & f.col("unseen")).alias("unseen"),
        ).first()
        assert counted is not None
        if not counted["all"]:
            raise UserError(nothing_decided(feature_set))
        kept = _sampled(rows.where(f.col("mature") & ~f.col("unseen")), keep_every, whole_from)
        if counted["immature"] + counted["unseen"] == counted["all"]:
            raise UserError(nothing_left(counted["immature"], counted["unseen"]))
        ordered = kept.select(*ROW_COLUMNS, *feature_set.names).orderBy(*ORDER)
        ordered.write.mode("overwrite").option("compression", "zstd").parquet(folder.absolute().as_uri())
        written = spark.read.parquet(folder.absolute().as_uri()).count()
        rows.unpersist()
    except Exception as error:
        raise_if_file_gone(error)
        raise
    return written, counted["immature"], counted["unseen"]


def _rows(
    spark: "SparkSession", archive: ServedArchive, feature_set: FeatureSet, begin: int, end: int, as_of: int, labels_after: int
) -> "DataFrame":
    """Each decision once, with its label, and whether it is ``mature`` or was blocked ``unseen``."""
    from pyspark.sql import functions as f

    in_range = f.col("refused").isNull() & (f.col("event_time") >= begin) & (f.col("event_time") < end)

    def read(topic: str, schema: str) -> "DataFrame":
        return _read(spark, archive.uris(topic), schema).where(in_range)

    features = ", ".join(f"`{name}` float" for name in feature_set.names)
    log = read(SCORING_LOG.name, f"{_LOG}, {features}").where(f.col("features_digest") == feature_set.digest)
    copies = read(TRANSACTIONS.name, f"{_LABELS}, kind string").where(f.col("kind") == "label").drop("kind")
    labels = read(LABELS.name, _LABELS).unionByName(copies).where(f.col("label_time") <= as_of).drop("event_time", "refused")
    blocked = read(DECISIONS.name, _DECISIONS).groupBy(*_KEY).agg(f.bool_or(f.col("decision") == "block").alias("blocked"))
    served = _first(log, *(f.col(name).asc() for name in ORDER))
    newest = _first(labels, f.col("label_time").desc(), f.col("is_fraud").desc())
    joined = served.join(newest, list(_KEY), "left").join(blocked, list(_KEY), "left")
    return (
        joined.withColumn("mature", f.col("event_time") + f.lit(labels_after) <= as_of)
        .withColumn("unseen", f.coalesce("blocked", f.lit(False)) & f.col("is_fraud").isNull())
        .withColumn("is_fraud", f.coalesce("is_fraud", f.lit(False)))
    )


def _sampled(rows: "DataFrame", keep_every: int, whole_from: int) -> "DataFrame":
    from pyspark.sql import functions as f

    if keep_every == 1:
        return rows.withColumn("weight", f.lit(None).cast("double"))
    thinned = ~f.col("is_fraud") & (f.col("event_time") < whole_from)
    drawn = f.crc32(f.concat(f.col("user_id"), f.lit("\0"), f.col("transaction_id")).cast("binary")) % keep_every == 0
    weight = f.when(thinned, f.lit(float(keep_every))).otherwise(f.lit(1.0))
    return rows.where(~thinned | drawn).withColumn("weight", weight)


def _first(rows: "DataFrame", *order: "Column") -> "DataFrame":
    """Of each transaction the first row in this order."""
    from pyspark.sql import Window as Over
    from pyspark.sql import functions as f

    over = Over.partitionBy(*_KEY).orderBy(*order)
    return rows.withColumn("_place", f.row_number().over(over)).where(f.col("_place") == 1).drop("_place")


def _read(spark: "SparkSession", uris: Sequence[str], schema: str) -> "DataFrame":
    """These columns of the files; none if there are no files."""
    if not uris:
        return spark.createDataFrame([], schema)
    return spark.read.schema(schema).parquet(*(uri.replace("s3://", "s3a://", 1) for uri in uris))
