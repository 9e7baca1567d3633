"""A Spark of a test's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from features.offline import spark_session
from features.offline.storage import Storage
from infra.local import jars, java

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@contextmanager
def local_spark(rows_at_once: int) -> Iterator["SparkSession"]:
    """Two threads that hand Python so few rows at once that a key's lie in several batches; it is gone after the block."""
    few = {"spark.sql.execution.arrow.maxRecordsPerBatch": str(rows_at_once)}
    session = spark_session.start("tests", java.for_spark().executable, jars.SPARK.paths(), Storage.of("."), "1g", 2, few)
    try:
        yield session
    finally:
        session.stop()
