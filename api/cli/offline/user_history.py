"""Where what is known of users comes from, a file or the archive, and which engine works out their risks from it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from features.backfill.archived_log import of_archive, of_table
from features.definitions import FeatureSet
from features.offline import spark_session
from features.offline.parquet_tables import OfflineTable, WrittenFile
from features.offline.storage import Storage
from infra.local import jars, java
from models.scoring import Scorer
from streams.user_risk.parquet_table import UserRiskTable, archive_of, archived, count_archived, newest_archived
from streams.user_risk.risk import user_risk
from streams.user_risk.spark_user_risk import write_user_risk

# From so many records on Spark's start is worth it, and one process would take gigabytes.
_SPARK_FROM = 3_000_000


@dataclass(frozen=True)
class FileHistory:
    """A history in a file, worked on in this process."""

    name: str
    table: pa.Table
    engine: str = "local"

    def newest(self, moment: int) -> int | None:
        """When the newest transaction before the ``moment`` (both ms) was made; None if there is none."""
        times = self.table["event_time"]
        found = pc.max(times.filter(pc.less(times, moment))).as_py()
        return None if found is None else int(found)

    def write(self, features: FeatureSet, scorer: Scorer, moment: int, table: UserRiskTable, day: date) -> list[WrittenFile]:
        """Writes the risks at the ``moment`` (ms) as files of the day, which don't count yet."""
        return [table.write(day, user_risk(of_table(self.table, moment), features, scorer, moment))]


@dataclass(frozen=True)
class ArchivedHistory:
    """The archive, worked on in this process or by Spark."""

    name: str
    place: Storage
    table: OfflineTable
    end: date
    engine: str
    memory: str
    logs: Path

    @classmethod
    def choose(cls, store: Storage, engine: str, moment: int, memory: str, logs: Path) -> Self:
        """The store's archive before the ``moment`` (ms); the ``engine`` ``auto`` is settled by its size.

        Raises UserError if there is no archive.
        """
        archive = archive_of(store)
        # What was known before the moment is filed under days up to that of the last millisecond before it.
        end = datetime.fromtimestamp((moment - 1) / 1000, UTC).date() + timedelta(days=1)
        if engine == "auto":
            engine = "spark" if count_archived(archive, end) >= _SPARK_FROM else "local"
        return cls(f"the archive at {archive.storage.url}", store, archive, end, engine, memory, logs)

    def newest(self, moment: int) -> int | None:
        """When the newest transaction before the ``moment`` (both ms) was made; None if there is none."""
        return newest_archived(self.table, moment)

    def write(self, features: FeatureSet, scorer: Scorer, moment: int, table: UserRiskTable, day: date) -> list[WrittenFile]:
        """As that of a file's. Raises UserError if the archive is compacted meanwhile."""
        if self.engine == "spark":
            return self._by_spark(features, scorer, moment, table, day)
        return [table.write(day, user_risk(of_archive(archived(self.table, self.end), moment), features, scorer, moment))]

    def _by_spark(self, features: FeatureSet, scorer: Scorer, moment: int, table: UserRiskTable, day: date) -> list[WrittenFile]:
        runtime, connectors = java.for_spark().executable, jars.SPARK.paths()
        log = self.logs / "spark-score-users.log"
        spark = spark_session.start("tidemark score-users", runtime, connectors, self.place, self.memory, log=log)
        try:
            return write_user_risk(spark, self.table.uris(end=self.end), features, scorer, moment, table, day)
        finally:
            spark.stop()
