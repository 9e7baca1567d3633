"""What a backfill writes, as data: a table of vectors, and the user views' values after each transaction.

A day of such a table follows from a definition and from a state of the archive, together its ``edition``; names of files begin with it, so
a table always shows which of its days go together.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa

from features.arrays import Float32, Int64
from features.definitions import DAY, SEMANTICS, FeatureSet
from features.online.views import TRANSACTION_STATS, USER_TRANSACTION_STATS, OnlineView, stats_window

USER_VIEWS = (TRANSACTION_STATS, USER_TRANSACTION_STATS)

EVENT_TIMESTAMP = pa.field("event_timestamp", pa.timestamp("us", "UTC"), nullable=False)
_KINDS = {"int64": pa.int64(), "float64": pa.float64()}
_EPOCH = date(1970, 1, 1)
# Up to here a float64 has every integer.
_EXACT = 2**53


@dataclass(frozen=True)
class ComputedTable:
    """Transactions with what was computed of them, one entry each, in order: ``event_time`` in ms, ``vectors`` float32, n × names.

    ``sums`` (int64, n × 4) has what each left behind at its user: count and amount (minor units) of the stats window, and of all time.
    """

    transaction_id: pa.Array
    user_id: pa.Array
    merchant_id: pa.Array
    event_time: Int64
    vectors: Float32
    sums: Int64

    def by_day(self) -> Iterator[tuple[date, "ComputedTable"]]:
        """Those of each day, in order; event times must not fall."""
        days = self.event_time // DAY
        cuts = [0, *(np.flatnonzero(days[1:] != days[:-1]) + 1).tolist(), len(days)]
        for begin, end in pairwise(cuts if len(days) else []):
            here = slice(begin, end)
            names = self.transaction_id[here], self.user_id[here], self.merchant_id[here]
            yield day_at(int(self.event_time[begin])), ComputedTable(*names, self.event_time[here], self.vectors[here], self.sums[here])


@dataclass(frozen=True)
class BackfillTable:
    """A table that a backfill fills; ``meaning`` is a digest of all that its values follow from beside the archive."""

    name: str
    meaning: str
    schema: pa.Schema
    view: OnlineView | None = None

    def edition(self, archive: str, version: int) -> str:
        """Twelve hexadecimal digits, equal only for the same meaning over the same state of the same archive."""
        return hashlib.sha256(f"{self.meaning} {archive} {version}".encode()).hexdigest()[:12]

    def rows(self, computed: ComputedTable) -> pa.Table:
        """The table's rows of these transactions, a row each."""
        timestamps = pa.array(computed.event_time * 1_000).cast(EVENT_TIMESTAMP.type)
        if self.view is None:
            features = [pa.array(column) for column in computed.vectors.T]
            columns = [computed.transaction_id, computed.user_id, computed.merchant_id, timestamps, *features]
        else:
            count, amount = computed.sums.T[:2] if self.view == TRANSACTION_STATS else computed.sums.T[2:]
            created = pa.array(computed.sums[:, 2]).cast(EVENT_TIMESTAMP.type)
            columns = [computed.user_id, timestamps, created, pa.array(means(count, amount)), pa.array(count)]
        return pa.table(columns, schema=self.schema)


def vector_table(feature_set: FeatureSet) -> BackfillTable:
    """``<feature set>_backfill``: each transaction's vector as of before it, a float32 column a feature, NaN for missing."""
    keys = [pa.field(name, pa.string(), nullable=False) for name in ("transaction_id", "user_id", "merchant_id")]
    features = [pa.field(name, pa.float32(), nullable=False) for name in feature_set.names]
    return BackfillTable(f"{feature_set.name}_backfill", feature_set.digest, pa.schema([*keys, EVENT_TIMESTAMP, *features]))


def view_table(view: OnlineView, feature_set: FeatureSet) -> BackfillTable:
    """A user view's values after each transaction, under the view's name.

    ``created``, which Feast wants to be a time, is the transaction's number among its user's, from 1 on, in µs: among those of one
    millisecond it rises in the order of the log. Raises ValueError if the feature set lacks the stats window.
    """
    window = stats_window(feature_set)
    values = [pa.field(feature.name, _KINDS[feature.kind]) for feature in view.features]
    fields = [
        pa.field("user_id", pa.string(), nullable=False),
        EVENT_TIMESTAMP,
        pa.field("created", EVENT_TIMESTAMP.type, nullable=False),
        *values,
    ]
    meaning = json.dumps([SEMANTICS, view.name, window.length, window.hop])
    return BackfillTable(view.name, meaning, pa.schema(fields), view)


def day_at(time: int) -> date:
    """The day (UTC) of a time in ms."""
    return _EPOCH + timedelta(days=time // DAY)


def day_number(day: date) -> int:
    """Days since 1970."""
    return (day - _EPOCH).days


def means(count: Int64, amount: Int64) -> np.ndarray:
    """Mean amounts (float64) of positive counts, rounded once, however large the amounts."""
    rounded = amount / count
    for i in np.flatnonzero(amount > _EXACT):
        rounded[i] = int(amount[i]) / int(count[i])
    return rounded
