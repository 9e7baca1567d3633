"""The archive's tables of what was served: scoring log, labels, decisions. An edge; what is made of them is in ``rows.py``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from features.definitions import FeatureSet
from features.errors import UserError
from features.offline.parquet_tables import OfflineTable
from features.offline.storage import Storage
from models.training_set.label_maturity import Immature
from models.training_set.rows import TrainingSet
from models.training_set.snapshot import DataSnapshot, digest_of_names
from streams.archive.archived_topics import ARCHIVED
from streams.archive.served import counting_labels, decided
from streams.archive.served.counting_labels import ON_LOG
from streams.archive.served.outcomes import LEARNT_FROM, delays_of, with_outcomes
from streams.archive.served.rows import DECISION_COLUMNS, LABEL_COLUMNS, LOG_COLUMNS, ServedRows, served_rows
from streams.messages.topics import DECISIONS, LABELS, SCORING_LOG, TRANSACTIONS, Topic


@dataclass(frozen=True)
class ServedTables:
    """The tables of a store."""

    store: Storage

    def parts(self, rows: pc.Expression, labels_of: pc.Expression, features: Sequence[str] = ()) -> tuple[pa.Table, pa.Table, pa.Table]:
        """What ``decided_rows`` joins: those ``rows`` of the scoring log, with these features as served, those labels, and the rows'
        decisions."""
        log = self._read(SCORING_LOG, [*decided.LOG_COLUMNS, *features], rows)
        labels = self._labels(labels_of, counting_labels.LABEL_COLUMNS)
        return log, labels, self._read(DECISIONS, decided.DECISION_COLUMNS, rows)

    def uris(self, topic: str) -> list[str]:
        """The files of a topic's table that count now; none if it was never archived."""
        return OfflineTable(self.store, topic, ARCHIVED[topic].schema).uris()

    def _labels(self, rows: pc.Expression, columns: Sequence[str]) -> pa.Table:
        # A label is on its own topic, on the users' log as a copy, or, if a replay sent it, only there.
        own, copies = self._read(LABELS, columns, rows), self._read(TRANSACTIONS, columns, rows & (pc.field("kind") == "label"))
        marked = [table.append_column(ON_LOG, pa.repeat(mark, len(table))) for table, mark in ((own, False), (copies, True))]
        return pa.concat_tables(marked)

    def _read(self, topic: Topic, columns: Sequence[str], rows: pc.Expression) -> pa.Table:
        """These columns of a table, empty if the topic was never archived."""
        table = _table(self.store, topic)
        if table.exists():
            return table.read(columns, rows)
        return pa.schema([table.schema.field(name) for name in columns]).empty_table()


@dataclass(frozen=True)
class ServedArchive(ServedTables):
    """Tables with decisions in them; ``first`` and ``last`` are their event times (ms)."""

    first: int
    last: int
    snapshot: DataSnapshot

    @classmethod
    def of(cls, store: Storage) -> Self:
        """The archive of a store. Raises UserError if no decision is archived in it."""
        log = _table(store, SCORING_LOG)
        times = log.read(["event_time"], pc.field("refused").is_null())["event_time"] if log.exists() else None
        if times is None or not len(times):
            raise UserError(f"no decision is archived at {store.url}; run `tidemark archive --once`, or give a file with --data")
        span = pc.min_max(times)
        first, last = span["min"].as_py(), span["max"].as_py()
        state = log.state()
        snapshot = DataSnapshot((log.storage.url,), len(times), first, last, digest_of_names((state.identity, *state.uris)))
        return cls(store, first, last, snapshot)

    @classmethod
    def exists(cls, store: Storage) -> bool:
        """Whether any decision was ever archived there."""
        return _table(store, SCORING_LOG).exists()

    def training_set(
        self, feature_set: FeatureSet, begin: int, end: int, as_of: int, labels_after: int, immature: Immature = "left-out"
    ) -> TrainingSet:
        """What was decided in the range on vectors of this feature set; see ``served_rows``. Times in ms."""
        return self.rows(feature_set, begin, end, as_of, labels_after, immature).training_set(feature_set.names)

    def rows(
        self, feature_set: FeatureSet, begin: int, end: int, as_of: int, labels_after: int, immature: Immature = "left-out"
    ) -> ServedRows:
        """The same as a table."""
        taken = _taken(begin, end)
        log = _table(self.store, SCORING_LOG).read([*LOG_COLUMNS, *feature_set.names], taken)
        return served_rows(
            log,
            self._labels(taken, LABEL_COLUMNS),
            self._read(DECISIONS, DECISION_COLUMNS, taken),
            feature_set,
            begin,
            end,
            as_of,
            labels_after,
            immature,
        )

    def model_digests(self, begin: int, end: int) -> list[str]:
        """Of the models that have decided in the range (ms), in the order of their first decisions."""
        rows = _taken(begin, end)
        log = _table(self.store, SCORING_LOG).read(["event_time", "model_digest"], rows)
        by_digest = log.set_column(1, "model_digest", log["model_digest"].cast(pa.string())).group_by("model_digest")
        first = by_digest.aggregate([("event_time", "min")])
        return list(first.sort_by("event_time_min")["model_digest"].to_pylist())

    def outcomes(self, begin: int, end: int, as_of: int, delay: int, features: Sequence[str]) -> pa.Table:
        """What was decided in the range, with these features as served, and what has become of it ``as_of``, by how long its own labels
        took; see ``decided_rows`` and ``with_outcomes``. Times and ``delay`` in ms."""
        # Whatever day they name: a label finds its transaction by user and id alone.
        known = pc.field("refused").is_null() & (pc.field("label_time") <= as_of)
        rows = decided.decided_rows(*self.parts(_taken(begin, end), known, features), as_of)
        return with_outcomes(rows, as_of, delay, delays_of(rows.select(LEARNT_FROM), as_of, delay))


def _table(store: Storage, topic: Topic) -> OfflineTable:
    return OfflineTable(store, topic.name, ARCHIVED[topic.name].schema)


def _taken(begin: int, end: int) -> pc.Expression:
    """The rows of the range (event times, ms) that weren't refused."""
    return pc.field("refused").is_null() & (pc.field("event_time") >= begin) & (pc.field("event_time") < end)
