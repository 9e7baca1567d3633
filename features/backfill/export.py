"""All features of a range without a list of entities: a Parquet file a day, from what was served or from a backfill."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.fs import FileSelector

from features.backfill.plan import ARCHIVE, editions
from features.backfill.tables import EVENT_TIMESTAMP, BackfillTable, vector_table
from features.definitions import FeatureSet
from features.errors import UserError
from features.offline.parquet_tables import DAY_FIELD, OfflineTable, day_of, write_file
from features.offline.storage import Storage

SERVED = "scoring-log"
_DAYS_NAMED = 3


@dataclass(frozen=True)
class Export:
    """What an export has written. ``archive_versions`` are the states of the archive that its days were computed from, none if served."""

    rows: int
    days: int
    archive_versions: tuple[int, ...]


def export_backfill(
    store: Storage, feature_set: FeatureSet, begin: date, end: date, out: Storage, done: Callable[[int], None] = lambda _rows: None
) -> Export:
    """Writes all recomputed vectors of days from ``begin`` to before ``end``; ``done`` hears of each day's rows.

    Raises UserError, and writes nothing, if a day that is archived isn't computed, or was by another definition or from another archive.
    """
    table = vector_table(feature_set)
    offline, archive = OfflineTable(store, table.name, table.schema), OfflineTable(store, ARCHIVE, pa.schema([]))
    state = archive.state(end) if archive.exists() else None
    of_version = {table.edition(state.identity, version): version for version in range(state.version + 1)} if state else {}
    found = editions(offline, begin, end)
    known = [day for day, names in found.items() if names <= of_version.keys()]
    archived = {day_of(uri) for uri in state.uris} if state else set()
    lacking = {day for day in archived if day >= begin}.union(found).difference(known)
    if lacking or not found:
        raise UserError(
            f"{_named(lacking) or f'nothing from {begin} to before {end}'} of {feature_set.name} is computed from this archive; run "
            f"`tidemark backfill --features {feature_set.name} --from {begin} --to {end}` first"
        )
    rows = _write(offline, table, known, out, None, done)
    return Export(rows, len(known), tuple(sorted({of_version[name] for names in found.values() for name in names})))


def export_served(
    store: Storage, feature_set: FeatureSet, begin: date, end: date, out: Storage, done: Callable[[int], None] = lambda _rows: None
) -> Export:
    """Writes the vectors that decisions of these days rested on, as they were served. Raises UserError if there are none of the set."""
    table = vector_table(feature_set)
    columns = [field for field in table.schema if field != EVENT_TIMESTAMP]
    times = [pa.field("event_time", pa.int64()), pa.field("features_digest", pa.string())]
    log = OfflineTable(store, SERVED, pa.schema([*columns, *times]))
    days = sorted({day_of(uri) for uri in log.uris(begin, end)})
    served = pc.field("features_digest") == feature_set.digest
    days = [day for day in days if log.dataset().count_rows(filter=(pc.field(DAY_FIELD.name) == day) & served)]
    if not days:
        raise UserError(
            f"the archive at {log.storage.url} has no decision with {feature_set.name} from {begin} to before {end}; change the range or "
            "--features, or run `tidemark archive` if they are yet to be archived"
        )
    return Export(_write(log, table, days, out, served, done), len(days), ())


def _write(
    source: OfflineTable, table: BackfillTable, days: Iterable[date], out: Storage, rows: pc.Expression | None, done: Callable[[int], None]
) -> int:
    filesystem, path = out.arrow()
    if filesystem.get_file_info(path).is_file or any(_files(out)):
        raise UserError(f"there is something at {out.url} already; name another folder with --out")
    total = 0
    for day in sorted(days):
        of_day = pc.field(DAY_FIELD.name) == day
        found = source.dataset().to_table(filter=of_day if rows is None else of_day & rows)
        if "event_time" in found.column_names:
            moment = pa.array(found["event_time"].to_numpy() * 1_000).cast(EVENT_TIMESTAMP.type)
            found = found.append_column(EVENT_TIMESTAMP, moment)
        write_file(out, day, "features", found.select(table.schema.names).cast(table.schema))
        total += len(found)
        done(len(found))
    return total


def _files(out: Storage) -> Collection[object]:
    filesystem, path = out.arrow()
    return filesystem.get_file_info(FileSelector(path, allow_not_found=True))  # type: ignore[no-any-return]


def _named(days: Collection[date]) -> str:
    first = ", ".join(str(day) for day in sorted(days)[:_DAYS_NAMED])
    return f"{first} and {len(days) - _DAYS_NAMED} more days" if len(days) > _DAYS_NAMED else first
