"""The archive's records in Spark, in the order of the replay, distributed by user for the first stage and by merchant for the second."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from features.backfill.stages import ORDER, RECORDS
from features.errors import UserError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# What is read of the archive.
_ARCHIVED = """partition int, offset bigint, kind string, seq bigint, transaction_id string, event_time bigint, user_id string,
    merchant_id string, amount bigint, device_id string, label_time bigint, is_fraud boolean"""
_TYPES = {
    pa.int64(): "bigint",
    pa.int32(): "int",
    pa.int8(): "tinyint",
    pa.string(): "string",
    pa.bool_(): "boolean",
    pa.binary(): "binary",
    pa.float64(): "double",
}
# Spark's conditions for a file that isn't there when it is looked for, and when it is read.
_FILE_GONE = ("PATH_NOT_FOUND", "FAILED_READ_FILE.FILE_NOT_EXIST")


def users_records(spark: "SparkSession", uris: Sequence[str], before: int, tasks: int) -> "DataFrame":
    """RECORDS of what these files of the archive had known before that moment (ms), all of a user in one of ``tasks``."""
    from pyspark.sql import functions as f

    files = [uri.replace("s3://", "s3a://", 1) for uri in uris]
    known = (
        spark.read.schema(_ARCHIVED)
        .parquet(*files)
        .where(f.col("kind").isin("transaction", "label"))
        .withColumn("is_transaction", f.col("kind") == "transaction")
        .withColumn("time", f.when(f.col("is_transaction"), f.col("event_time")).otherwise(f.col("label_time")))
        .where(f.col("time") < before)
    )
    return _first_of_each(known.repartition(tasks, "user_id")).select(*RECORDS.names).sortWithinPartitions(*_order())


def merchants_records(with_users: "DataFrame", tasks: int) -> "DataFrame":
    """WITH_USERS, all of a merchant in one of ``tasks``."""
    return with_users.repartition(tasks, "merchant_id").sortWithinPartitions(*_order())


def ddl(schema: pa.Schema) -> str:
    """The schema in Spark's own words."""
    return ", ".join(f"`{field.name}` {_TYPES[field.type]}" for field in schema)


def raise_if_file_gone(error: Exception) -> None:
    """Raises UserError if it is this that a job failed for."""
    if any(condition in str(error) for condition in _FILE_GONE):
        raise UserError(
            "files of the archive were removed that counted when the command began, as a compaction does; run the command again"
        ) from error


def _first_of_each(records: "DataFrame") -> "DataFrame":
    """Without transactions sent again: of those of one user and id the first in the log counts."""
    from pyspark.sql import Window as Over
    from pyspark.sql import functions as f

    # The hash comes first, for a sort compares numbers faster than names.
    same = records.withColumn("identity", f.xxhash64("user_id", "transaction_id", "is_transaction"))
    over = Over.partitionBy("identity", "user_id", "transaction_id", "is_transaction").orderBy("partition", "offset")
    return same.withColumn("time_sent", f.row_number().over(over)).where((f.col("time_sent") == 1) | ~f.col("is_transaction"))


def _order() -> list[Any]:
    from pyspark.sql import functions as f

    return [f.col(name).asc_nulls_last() for name in ORDER]
