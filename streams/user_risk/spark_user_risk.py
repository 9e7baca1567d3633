"""Users' risks by Spark, from the archive, distributed as a backfill is: bit for bit what ``user_risk`` gives in one process."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from features.backfill.repeated_payments import RepeatingMerchantStage, RepeatingUserStage
from features.backfill.spark_records import ddl, merchants_records, raise_if_file_gone, users_records
from features.backfill.stages import WITH_USERS
from features.definitions import FeatureSet
from features.offline.parquet_tables import WrittenFile
from models.scoring import Scorer
from streams.user_risk.parquet_table import UserRiskTable
from streams.user_risk.risk import JUDGED, LOOKBACK, judge, riskiest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_WRITTEN = "path string, rows bigint, bytes bigint"


def write_user_risk(
    spark: "SparkSession", uris: Sequence[str], feature_set: FeatureSet, scorer: Scorer, moment: int, table: UserRiskTable, day: date
) -> list[WrittenFile]:
    """Writes the risks at the ``moment`` (ms) of all users in these files of the archive as files of the day, which don't count yet.

    The session must be a local one. Raises UserError if the archive is compacted meanwhile.
    """
    tasks = spark.sparkContext.defaultParallelism
    try:
        with_users = users_records(spark, uris, moment, tasks).mapInArrow(_Users(feature_set, moment), ddl(WITH_USERS))
        judged = merchants_records(with_users, tasks).mapInArrow(_Merchants(feature_set, scorer, moment), ddl(JUDGED))
        written = judged.repartition(tasks, "user_id").mapInArrow(_Riskiest(scorer, moment, table, day), _WRITTEN).collect()
    except Exception as error:
        raise_if_file_gone(error)
        raise
    return [WrittenFile(row["path"], day, row["rows"], row["bytes"]) for row in written]


@dataclass(frozen=True)
class _Users:
    feature_set: FeatureSet
    moment: int

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        stage = RepeatingUserStage(self.feature_set, self.moment, LOOKBACK)
        yield from map(stage.apply, batches)
        yield from stage.again()


@dataclass(frozen=True)
class _Merchants:
    feature_set: FeatureSet
    scorer: Scorer
    moment: int

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        stage = RepeatingMerchantStage(self.feature_set, self.moment)
        for batch in batches:
            yield judge(*stage.apply(batch), self.scorer)


@dataclass(frozen=True)
class _Riskiest:
    scorer: Scorer
    moment: int
    table: UserRiskTable
    day: date

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        assert context is not None
        rows = riskiest([batch.cast(JUDGED) for batch in batches], self.scorer, self.moment)
        if len(rows):
            written = asdict(self.table.write(self.day, rows, context.partitionId()))
            yield pa.RecordBatch.from_pylist([{name: written[name] for name in ("path", "rows", "bytes")}])
