"""BACKFILL: any feature set over what is archived, by Spark, distributed by key, with the stream's own kernel.

Records are brought into the order of the replay, each user's for the first stage, each merchant's for the second; Spark sorts on disk what
doesn't fit into memory, and a stage holds its keys' states and one batch (``features/backfill/stages.py``). All that was archived before
the range's end is read, for a key's age and all-time figures reach back to its first event: the cost grows linearly with that.

A day counts once every task has written its part of it, all its files at once. A run that ended in the middle is started again by the same
command: states are computed anew, which is cheap, but only the days are written that are missing still.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from features.arrays import Int64
from features.backfill.plan import BackfillPlan, Target
from features.backfill.spark_day_files import DayFiles, Reports
from features.backfill.spark_records import ddl, merchants_records, raise_if_file_gone, users_records
from features.backfill.stages import WITH_USERS, MerchantStage, UserStage
from features.backfill.tables import day_number
from features.definitions import DAY, FeatureSet, Window
from features.errors import UserError
from features.offline.parquet_tables import write_file
from features.scratch import scratch

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_WRITER = "backfill"
_LISTEN_EVERY_S = 0.25
# Each commit reads the log of all before, so their number must not grow with that of the days.
_COMMIT_EVERY_S = 3.0


def backfill(plan: BackfillPlan, spark: "SparkSession", here: Path, done: Callable[[Sequence[date]], None] = lambda _days: None) -> None:
    """Computes and commits the plan's missing days; ``done`` hears of days that count now. The session must be a local one, and what its
    tasks report lies ``here`` meanwhile.

    Raises UserError if another backfill writes to the tables meanwhile, or the archive is compacted.
    """
    missing = plan.missing
    if not missing:
        return
    tasks = spark.sparkContext.defaultParallelism
    with scratch(here, "backfill") as folder, ThreadPoolExecutor(1) as beside:
        reports = Reports(folder, tasks)
        job = beside.submit(_compute, plan, spark, reports.folder, tasks)
        try:
            for days in _finished(missing, reports, job):
                for target in plan.targets:
                    _commit(target, [day for day in days if day in target.missing], reports)
                done(days)
        except BaseException:
            spark.sparkContext.cancelAllJobs()
            raise


def _compute(plan: BackfillPlan, spark: "SparkSession", reports: Path, tasks: int) -> None:
    """Runs both stages; their results are the files, and what stands in ``reports``."""
    days = np.array([day_number(day) for day in plan.missing])
    users = _Users(plan.feature_set, plan.window, days)
    origin = {"features_digest": plan.feature_set.digest, "archive": plan.archive.identity, "archive_version": str(plan.archive.version)}
    merchants = _Merchants(plan.feature_set, plan.targets, reports, tasks, origin)
    try:
        before = day_number(plan.end) * DAY
        with_users = users_records(spark, plan.archive.uris, before, tasks).mapInArrow(users, ddl(WITH_USERS))
        merchants_records(with_users, tasks).mapInArrow(merchants, "nothing int").collect()
    except Exception as error:
        raise_if_file_gone(error)
        raise


@dataclass(frozen=True)
class _Users:
    """The first stage's task."""

    feature_set: FeatureSet
    window: Window | None
    days: Int64

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        stage = UserStage(self.feature_set, self.window, self.days)
        return map(stage.apply, batches)


@dataclass(frozen=True)
class _Merchants:
    """The second stage's task."""

    feature_set: FeatureSet
    targets: Sequence[Target]
    reports: Path
    tasks: int
    origin: dict[str, str]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        assert context is not None
        stage = MerchantStage(self.feature_set)
        files = DayFiles(self.targets, self.reports, context.partitionId(), self.tasks, self.origin)
        for batch in batches:
            files.add(stage.apply(batch))
        files.close()
        yield from ()


def _finished(missing: Sequence[date], reports: Reports, job: Future[None]) -> Iterator[list[date]]:
    """The missing days, some at a time, as they are done. Raises what the job raises."""
    left, last = list(missing), time.monotonic()
    while left:
        ended = job.done()
        reports.update()
        if ended:
            job.result()
            yield left
            return
        reached = reports.reached()
        days = [day for day in left if reached is not None and day <= reached]
        if days and time.monotonic() >= last + _COMMIT_EVERY_S:
            yield days
            left, last = left[len(days) :], time.monotonic()
        time.sleep(_LISTEN_EVERY_S)


def _commit(target: Target, days: Sequence[date], reports: Reports) -> None:
    """Has the days count as they are written now, and no longer as they were before."""
    if not days:
        return
    files = reports.files(target.table.name, days)
    # A file without rows records that a day without transactions was computed.
    empty = sorted(set(days) - {file.day for file in files})
    files += [write_file(target.offline.storage, day, f"{target.edition}-empty", target.table.schema.empty_table()) for day in empty]
    number = target.offline.committed(_WRITER)
    if not target.offline.commit(files, _WRITER, 0 if number is None else number + 1, replaced=days):
        raise UserError(f"another backfill writes to {target.offline.storage.url} at the same time; let it end, then run the command again")
