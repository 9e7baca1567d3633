"""The training set of a large archive, made by Spark: row for row, bit for bit as ``served_rows`` and ``thin_table`` make it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from features.backfill.spark_records import raise_if_file_gone
from features.definitions import FeatureSet
from features.errors import UserError
from models.training_set.label_maturity import Immature, immature_weights, require_delays
from streams.archive.served.parquet_tables import ServedArchive
from streams.archive.served.rows import ORDER, ROW_COLUMNS, nothing_decided, nothing_left
from streams.messages.topics import DECISIONS, LABELS, SCORING_LOG, TRANSACTIONS

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
    immature: Immature = "left-out",
) -> tuple[int, int, int]:
    """Writes the rows as Parquet files of the folder, in place of what lay there; returns how many, and how many were left out as immature
    and as blocked unseen. The session must be a local one. Raises UserError as ``served_rows``, and if the archive is compacted meanwhile.

    If ``immature`` ones are weighted, each matured fraud's delay (8 bytes) is held in memory.
    """
    from pyspark.sql import functions as f

    try:
        rows = _rows(spark, archive, feature_set, begin, end, as_of, labels_after).cache()
        if rows.isEmpty():
            raise UserError(nothing_decided(feature_set))
        weighted = _with_weights(rows, as_of, labels_after, immature)
        counted = weighted.agg(
            f.count("*").alias("all"),
            f.count_if(~f.col("counted")).alias("immature"),
            f.count_if(f.col("counted") & f.col("unseen")).alias("unseen"),
        ).first()
        assert counted is not None
        kept = _thin_table(weighted.where(f.col("counted") & ~f.col("unseen")), keep_every, whole_from)
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
    """Each decision once, with its label, its ``age``, and whether it is ``labelled``, ``mature`` or was blocked ``unseen``."""
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
        joined.withColumn("age", f.lit(as_of) - f.col("event_time"))
        .withColumn("mature", f.col("age") >= labels_after)
        .withColumn("labelled", f.col("is_fraud").isNotNull())
        .withColumn("unseen", f.coalesce("blocked", f.lit(False)) & ~f.col("labelled"))
        .withColumn("is_fraud", f.coalesce("is_fraud", f.lit(False)))
    )


def _with_weights(rows: "DataFrame", as_of: int, labels_after: int, immature: Immature) -> "DataFrame":
    """The same with their ``weight`` and whether it lets them count: only ``mature`` rows do, or all whose weight is above 0."""
    from pyspark.sql import functions as f
    from pyspark.sql.pandas.functions import arrow_udf

    if immature == "left-out":
        return rows.withColumn("counted", f.col("mature")).withColumn("weight", f.lit(None).cast("double"))
    took = f.col("label_time") - f.col("event_time")
    frauds = rows.where(f.col("mature") & f.col("is_fraud"))
    delays = frauds.select(f.least(f.greatest(took, f.lit(0)), f.lit(labels_after)).alias("delay")).toArrow()["delay"].to_numpy()
    require_delays(delays)

    def weights(age: pa.Array, labelled: pa.Array) -> pa.Array:
        return pa.array(immature_weights(age.to_numpy(), labelled.to_numpy(zero_copy_only=False), delays))

    young = arrow_udf(weights, "double")("age", "labelled")  # type: ignore[call-overload]  # its stubs miss that types are given by hints
    weighted = rows.withColumn("weight", f.when(f.col("mature"), f.lit(1.0)).otherwise(young))
    return weighted.withColumn("counted", f.col("weight") > 0)


def _thin_table(rows: "DataFrame", keep_every: int, whole_from: int) -> "DataFrame":
    from pyspark.sql import functions as f

    if keep_every == 1:
        return rows
    thinned = ~f.col("is_fraud") & (f.col("event_time") < whole_from)
    drawn = f.crc32(f.concat(f.col("user_id"), f.lit("\0"), f.col("transaction_id")).cast("binary")) % keep_every == 0
    weight = f.coalesce("weight", f.lit(1.0)) * f.when(thinned, f.lit(float(keep_every))).otherwise(f.lit(1.0))
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
