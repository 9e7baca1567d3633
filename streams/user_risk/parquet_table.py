"""``user-risk``: each day's risks of all users as a partition of the offline store, which a later run of the same day replaces at once."""

import uuid
from collections.abc import Iterator, Sequence
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import CommitFailedError

from features.backfill.archived_log import ARCHIVED_SCHEMA
from features.errors import UserError
from features.offline.parquet_tables import DAY_FIELD, OfflineTable, WrittenFile, day_of, unless_compacted, write_file
from features.offline.storage import Storage
from streams.user_risk.risk import USER_RISK

_WRITER = "score-users"
_ROWS_AT_ONCE = 1 << 16


class UserRiskTable:
    """The table in an offline store."""

    def __init__(self, store: Storage) -> None:
        self._table = OfflineTable(store, "user-risk", USER_RISK)
        self.storage = self._table.storage
        # No two runs may write to the same file, whatever day they are of.
        self._run = uuid.uuid4().hex[:12]

    def write(self, day: date, rows: pa.Table, part: int = 0) -> WrittenFile:
        """Writes some of a day's rows (USER_RISK), which don't count yet; ``part`` is another one in each call."""
        return write_file(self.storage, day, f"{self._run}-{part:03d}", rows)

    def commit(self, day: date, files: Sequence[WrittenFile]) -> None:
        """Has these files, and no others, be the day's; those that they replace are removed.

        Raises UserError if another run commits meanwhile.
        """
        last = self._table.committed(_WRITER)
        try:
            counts = self._table.commit(files, _WRITER, 0 if last is None else last + 1, replaced=[day])
        except CommitFailedError:
            counts = False
        if not counts:
            raise UserError(f"another run writes to {self.storage.url} at the same time; let it end, then run the command again")
        self._table.remove_others(day, files)

    def newest_day(self) -> date | None:
        """The youngest day that is there."""
        return max(map(day_of, self._table.uris()), default=None)

    def read(self, day: date) -> pa.Table:
        """A day's rows (USER_RISK), by user_id; none if it isn't there."""
        if not self._table.exists():
            return USER_RISK.empty_table()
        return self._table.read(USER_RISK.names, pc.field(DAY_FIELD.name) == day).sort_by("user_id")

    def batches(self, day: date) -> Iterator[pa.RecordBatch]:
        """A day's rows (USER_RISK), some ten thousand at a time, in no order."""
        of_day = pc.field(DAY_FIELD.name) == day
        return self._table.dataset().to_batches(columns=USER_RISK.names, filter=of_day, batch_size=_ROWS_AT_ONCE)  # type: ignore[no-any-return]


def archive_of(store: Storage) -> OfflineTable:
    """The archive of transactions. Raises UserError if there is none."""
    archive = OfflineTable(store, "transactions", ARCHIVED_SCHEMA)
    if not archive.exists():
        raise UserError(f"there is no archive of transactions at {archive.storage.url}; run `tidemark archive` first, or give --data")
    return archive


def archived(archive: OfflineTable, before: date) -> pa.Table:
    """ARCHIVED_SCHEMA rows of days before that one."""
    return archive.read(ARCHIVED_SCHEMA.names, pc.field(DAY_FIELD.name) < before)


def newest_archived(archive: OfflineTable, moment: int) -> int | None:
    """When the newest archived transaction before the ``moment`` (both ms) was made; None if there is none."""
    known = (pc.field("kind") == "transaction") & (pc.field("event_time") < moment)
    for day in sorted({day_of(uri) for uri in archive.uris()}, reverse=True):
        times = archive.read(["event_time"], known & (pc.field(DAY_FIELD.name) == day))
        if len(times):
            return int(pc.max(times["event_time"]).as_py())
    return None


def count_archived(archive: OfflineTable, before: date) -> int:
    """How many rows ``archived`` has."""
    return unless_compacted(lambda: int(archive.dataset().count_rows(filter=pc.field(DAY_FIELD.name) < before)))
