"""The table ``outcomes``: brought up to date from the archive a day at a time, and read. What its rows are is in ``outcomes.py``.

A day is made again only where what it was made of has changed (``outcome_editions.py``), and replaced at once; so a run that is interrupted
leaves whole days, and the next one goes on. A label lies in the archive under the day that it names, which may be another than its
transaction's: such strays are kept beside, in the table ``outcomes-strays``, and held in memory.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.compute as pc

from features.definitions import DAY
from features.offline.parquet_tables import DAY_FIELD, OfflineTable, unless_compacted
from features.offline.storage import Storage
from models.training_set.label_maturity import DelaysBySource
from streams.archive.archived_topics import ARCHIVED
from streams.archive.served.counting_labels import LABEL_COLUMNS, ON_LOG
from streams.archive.served.decided import decided_rows
from streams.archive.served.outcome_editions import Edition, Ingredients, digest_of_labels, settled_from
from streams.archive.served.outcomes import LEARNT_FROM, SCHEMA, delays_of, learnt_before, outcome_rows, with_outcomes
from streams.archive.served.parquet_replaced_days import ReplacedDays
from streams.archive.served.parquet_tables import ServedTables
from streams.archive.served.rows import KEY
from streams.messages.topics import DECISIONS, LABELS, SCORING_LOG, TRANSACTIONS

_WRITER = "outcomes"
_APPLIED = "strays"
_NOTED_HEX = 15
_ALL = (date.min, date.max)
_SOURCES = (SCORING_LOG.name, LABELS.name, TRANSACTIONS.name, DECISIONS.name)
_STRAYS = pa.schema([*(ARCHIVED[LABELS.name].schema.field(name) for name in LABEL_COLUMNS), pa.field(ON_LOG, pa.bool_())])


def _unobserved(_days: int) -> None:
    pass


class OutcomesTable:
    """The table in an offline store, for those who read it."""

    def __init__(self, store: Storage) -> None:
        self._table = OfflineTable(store, "outcomes", SCHEMA)
        self.storage = self._table.storage

    def read(self, begin: date | None = None, end: date | None = None) -> pa.Table:
        """The rows (``SCHEMA``) of the days from ``begin`` to before ``end`` (None: all), by event time within a day. Raises
        FileNotFoundError if nothing was ever written."""
        day = pc.field(DAY_FIELD.name)
        return self._table.read(SCHEMA.names, (day >= (begin or date.min)) & (day < (end or date.max)))

    def days(self) -> list[date]:
        """The days that are there, ascending."""
        return sorted(self._table.rows_by_day())

    def counts(self) -> Mapping[str, int]:
        """How many rows there are of each outcome."""

        def counted() -> Counter[str]:
            found: Counter[str] = Counter()
            for batch in self._table.dataset().to_batches(columns=["outcome"]):
                found.update({pair["values"]: pair["counts"] for pair in batch["outcome"].value_counts().to_pylist()})
            return found

        return unless_compacted(counted) if self._table.exists() else {}


@dataclass(frozen=True)
class Updated:
    """What an update did: of so many ``days`` it wrote some, anew or again, and ``removed`` those that the archive doesn't have by then.
    ``delays`` are those that the known share of young frauds was learnt from."""

    days: int
    written: tuple[date, ...]
    removed: tuple[date, ...]
    delays: DelaysBySource


def newest_decision(store: Storage) -> int | None:
    """The event time (ms) of the newest decision archived there; None if there is none."""
    log = OfflineTable(store, SCORING_LOG.name, ARCHIVED[SCORING_LOG.name].schema)
    for day in sorted(log.rows_by_day(), reverse=True):
        times = log.read(["event_time"], pc.field("refused").is_null() & (pc.field(DAY_FIELD.name) == day))["event_time"]
        if len(times):
            return int(pc.max(times).as_py())
    return None


def update(
    store: Storage,
    begin: date | None,
    end: date | None,
    as_of: int,
    delay: int,
    advanced: Callable[[int], None] = _unobserved,
    currency: str | None = None,
) -> Updated:
    """Brings the days from ``begin`` to before ``end`` (None: all) up to date with the archive, as known ``as_of``, where labels take up
    to ``delay`` (both ms). One day is in memory at a time; ``advanced`` is called with 1 after each that was looked at. ``currency`` is
    that of the amounts (ISO 4217).

    Raises UserError if another run writes to the table meanwhile, or if it is in another currency.
    """
    run = _Run(store, begin, end, as_of, delay, currency)
    removed = run.tidy()
    while run.once(advanced):
        advanced = _unobserved
    return Updated(len(run.days), tuple(sorted(run.written)), removed, run.delays)


class _Run:
    """One update. ``once`` is done until it changes nothing: the first time finds the strays, the second puts them where they belong."""

    def __init__(self, store: Storage, begin: date | None, end: date | None, as_of: int, delay: int, currency: str | None) -> None:
        self._served, self._as_of, self._delay = ServedTables(store), as_of, delay
        self._range = (begin or date.min, end or date.max)
        self._table = ReplacedDays(OfflineTable(store, "outcomes", SCHEMA, currency), _WRITER)
        self._stray_table = ReplacedDays(OfflineTable(store, "outcomes-strays", _STRAYS), _WRITER)
        # What the archive has as this run begins. What comes in meanwhile is for the next: it will find more rows than the day was made of.
        self._archived: dict[str, Mapping[date, int]] = {}
        for name in _SOURCES:
            source = OfflineTable(store, name, ARCHIVED[name].schema)
            if source.exists():
                self._archived[f"{name} {source.state().identity}"] = source.rows_by_day()
        there = set[date]().union(*self._archived.values())
        self._last = _day(as_of)
        self.days = sorted(day for day in there if self._asked(day) and day <= self._last)
        self.written: set[date] = set()
        self.delays = DelaysBySource({})

    def tidy(self) -> tuple[date, ...]:
        """Removes the days that the archive doesn't have by then, which it returns, and what a killed run left."""
        stale = set[date]()
        for days in (self._table, self._stray_table):
            days.tidy()
            if gone := {day for day in days.names if self._asked(day) and day not in self.days}:
                days.remove(gone)
                stale |= gone
        return tuple(sorted(stale))

    def once(self, advanced: Callable[[int], None]) -> bool:
        """Brings each day up to date by the strays that are known so far; whether that changed anything."""
        strays = self._strays()
        digest = int(digest_of_labels(strays)[:_NOTED_HEX], 16)
        moved = digest != (self._table.noted(_APPLIED) or 0)
        found = {day: Edition.parse(name) for day, name in self._table.names.items()}
        young_from = _day(learnt_before(self._as_of, self._delay))

        def bring(days: Iterable[date], delays: DelaysBySource | None) -> int:
            wrote = 0
            for day in days:
                made_of = {source: rows.get(day, 0) for source, rows in self._archived.items()}
                ingredients, edition = Ingredients(made_of, self._delay, self._as_of, delays), found.get(day)
                if edition is None or not ingredients.gave(edition) or (moved and self._others_belong(strays, day, edition)):
                    self._write(day, ingredients, strays)
                    self.written.add(day)
                    wrote += 1
                advanced(1)
            return wrote

        wrote = bring((day for day in self.days if day < young_from), None)
        # Only now do the matured days say how long labels take.
        self.delays = self._delays(young_from)
        wrote += bring((day for day in self.days if day >= young_from), self.delays)
        if moved and not wrote and self._range == _ALL:
            self._table.note(_APPLIED, digest)
        return wrote > 0

    def _write(self, day: date, ingredients: Ingredients, strays: pa.Table) -> None:
        of_day = pc.field("refused").is_null() & (pc.field(DAY_FIELD.name) == day)
        log, labels, decisions = self._served.parts(of_day, of_day)
        self._keep_strays(day, labels.join(log.select(KEY), list(KEY), join_type="left anti").select(_STRAYS.names))
        made = log.filter(pc.less_equal(log["event_time"], self._as_of))
        elsewhere = _of_others(strays, day, made)
        labels = pa.concat_tables([labels.select(_STRAYS.names), elsewhere])
        rows = decided_rows(made, labels, decisions, self._as_of)
        rows = outcome_rows(with_outcomes(rows, self._as_of, self._delay, ingredients.delays or DelaysBySource({})))
        settled = settled_from(log["event_time"], _of(log, labels)["label_time"], self._delay)
        edition = ingredients.edition(digest_of_labels(elsewhere), settled if settled <= self._as_of else None)
        self._table.replace(day, edition.stem, rows)

    def _keep_strays(self, day: date, strays: pa.Table) -> None:
        """Has these be the strays that lie under the day."""
        there, stem = self._stray_table.names.get(day), digest_of_labels(strays)
        if len(strays) and there != stem:
            self._stray_table.replace(day, stem, strays)
        elif there is not None and not len(strays):
            self._stray_table.remove([day])

    def _strays(self) -> pa.Table:
        """All that are known, each with the day that it lies under."""
        columns = [*_STRAYS.names, DAY_FIELD.name]
        if not self._stray_table.table.exists():
            return pa.schema([*_STRAYS, DAY_FIELD]).empty_table()
        return self._stray_table.table.read(columns, pc.field(DAY_FIELD.name) <= self._last)

    def _others_belong(self, strays: pa.Table, day: date, edition: Edition) -> bool:
        """Whether other strays belong to this day's decisions than those that it was made of."""
        keys = self._table.table.read(KEY, pc.field(DAY_FIELD.name) == day)
        return digest_of_labels(_of_others(strays, day, keys)) != edition.strays

    def _delays(self, before: date) -> DelaysBySource:
        """How long labels took of the frauds in the table of days before that one."""
        table = self._table.table
        if not table.exists():
            return DelaysBySource({})
        frauds = (pc.field(DAY_FIELD.name) < before) & pc.field("is_fraud")
        return delays_of(table.read(LEARNT_FROM, frauds), self._as_of, self._delay)

    def _asked(self, day: date) -> bool:
        return self._range[0] <= day < self._range[1]


def _of_others(strays: pa.Table, day: date, keys: pa.Table) -> pa.Table:
    """The strays that lie under other days and are of these transactions."""
    others = strays.filter(pc.not_equal(strays[DAY_FIELD.name], day)).select(_STRAYS.names)
    return _of(keys, others) if len(others) else others


def _of(keys: pa.Table, labels: pa.Table) -> pa.Table:
    """Those labels that are of these transactions."""
    return labels.join(keys.select(KEY), list(KEY), join_type="left semi").select(_STRAYS.names)


def _day(moment: int) -> date:
    """The UTC day of a time in ms."""
    return datetime.fromtimestamp(moment // DAY * DAY // 1_000, UTC).date()
