"""Which days a backfill has to compute: those that its tables don't have from this very archive and definition already."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from features.backfill.tables import USER_VIEWS, BackfillTable, vector_table, view_table
from features.definitions import FeatureSet, Window
from features.errors import UserError
from features.offline.parquet_tables import OfflineTable, TableState, day_of
from features.offline.storage import Storage
from features.online.views import stats_window

ARCHIVE = "transactions"


@dataclass(frozen=True)
class Target:
    """A table to fill, the edition that its days are to have, and the days that it lacks in that edition."""

    table: BackfillTable
    offline: OfflineTable
    edition: str
    missing: frozenset[date]


@dataclass(frozen=True)
class BackfillPlan:
    """What one run computes, from all that is archived before ``end``; ``window`` is that of the user views, None if they are left out."""

    feature_set: FeatureSet
    end: date
    archive: TableState
    window: Window | None
    days: tuple[date, ...]
    targets: tuple[Target, ...]

    @property
    def missing(self) -> list[date]:
        """The days that some table lacks, ascending."""
        return sorted(frozenset().union(*(target.missing for target in self.targets)))


def plan_backfill(store: Storage, feature_set: FeatureSet, begin: date, end: date, views: bool = True) -> BackfillPlan:
    """The run for days from ``begin`` to before ``end``. Raises UserError if the archive has none of them, or the views no window."""
    archive = OfflineTable(store, ARCHIVE, pa.schema([]))
    try:
        state = archive.state(end)
    except FileNotFoundError:
        raise UserError(f"there is no archive of transactions at {archive.storage.url}; run `tidemark archive` first") from None
    archived = {day_of(uri) for uri in state.uris}
    if not any(day >= begin for day in archived):
        raise UserError(f"the archive at {archive.storage.url} has no day from {begin} to before {end}; {_extent(archive, archived)}")
    tables = [vector_table(feature_set)]
    if views:
        try:
            tables += [view_table(view, feature_set) for view in USER_VIEWS]
        except ValueError as error:
            raise UserError(f"{error}, or leave the views out with --no-views") from error
    lying = [OfflineTable(store, table.name, table.schema) for table in tables]
    written = [editions(table, begin, end) for table in lying]
    days = sorted({day for day in archived if day >= begin}.union(*written))
    targets = []
    for table, offline, found in zip(tables, lying, written, strict=True):
        edition = table.edition(state.identity, state.version)
        targets.append(Target(table, offline, edition, frozenset(day for day in days if found.get(day) != {edition})))
    window = stats_window(feature_set) if views else None
    return BackfillPlan(feature_set, end, state, window, tuple(days), tuple(targets))


def editions(table: OfflineTable, begin: date, end: date) -> Mapping[date, set[str]]:
    """Of each day that the table has from ``begin`` to before ``end``, the editions that its files are of."""
    found: dict[date, set[str]] = {}
    for uri in table.uris(begin, end):
        found.setdefault(day_of(uri), set()).add(uri.rpartition("/")[2].partition("-")[0])
    return found


def _extent(archive: OfflineTable, before: set[date]) -> str:
    days = sorted(before | {day_of(uri) for uri in archive.uris()})
    return f"it has {days[0]} to {days[-1]}" if days else "it is empty"
