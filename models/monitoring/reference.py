"""What a model's input and scores looked like when it was made, for a monitor to compare with: the content of ``reference.json``.

Scores are those of rows that the scoring booster hadn't seen; of rows it was fitted to they would be too sure.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import msgspec
import numpy as np
import numpy.typing as npt

from features.arrays import Bool, Float32, Float64, Int64
from features.definitions import DAY, OUTCOME_MEASURES, FeatureSet
from models.monitoring.in_control import DailyCounts, InControl, in_control

SCORE = "score"
"""What the score's column is called beside the features."""
RECENT_DAYS = 56
QUANTILE_BINS = 20
MOST_CATEGORIES = 24
_THURSDAY = 3  # 1970-01-01, Monday being 0


class Histogram(msgspec.Struct, frozen=True):
    """How often values fell where. Either ``edges``: bin i holds ``edges[i-1] < value <= edges[i]``, the last what is above all; or
    ``categories``: one bin each, then ``other``. The last bin of all is ``missing``. ``by_weekday``: the same for each weekday, Monday
    first.
    """

    edges: tuple[float, ...] | None
    categories: tuple[float, ...] | None
    counts: tuple[int, ...]
    by_weekday: tuple[tuple[int, ...], ...]

    @property
    def bins(self) -> tuple[str, ...]:
        """What each count is of, in words."""
        if self.categories is not None:
            return (*(f"{value:g}" for value in self.categories), "other", "missing")
        edges = self.edges or ()
        inner = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
        return (*([f"up to {edges[0]:g}", *inner, f"above {edges[-1]:g}"] if edges else ["any"]), "missing")

    @property
    def profiles(self) -> Float64:
        """Each weekday's share in each bin (7 × bins). A weekday without rows is like all."""
        whole = np.array(self.counts, np.float64)
        by_day = np.array(self.by_weekday, np.float64)
        there = by_day.sum(axis=1, keepdims=True)
        return np.asarray(np.where(there > 0, by_day / np.maximum(there, 1), whole / max(whole.sum(), 1)))

    def place(self, values: npt.NDArray[np.floating]) -> Int64:
        """The bin of each value (NaN: missing)."""
        if self.categories is not None:
            known = np.array(self.categories)
            at = np.searchsorted(known, values).clip(max=len(known) - 1)
            inside = np.where(known[at] == values, at, len(known))
        else:
            inside = np.searchsorted(np.array(self.edges or ()), values, side="left")
        return np.where(np.isnan(values), len(self.counts) - 1, inside).astype(np.int64)

    def count(self, values: npt.NDArray[np.floating]) -> Int64:
        """How often these values fall into each bin, in the order of ``counts``."""
        return np.bincount(self.place(values), minlength=len(self.counts)).astype(np.int64)


class Reference(msgspec.Struct, frozen=True):
    """Histograms of each feature, by its name, over the rows of the newest eight weeks that the model was made of, and of the scores over
    those out of fold.

    ``rows`` and ``score_rows`` are how many transactions these rows stand for; they and the counts are as weighted, rounded. Times are the
    rows' first and last, ms. ``in_control`` is None if there are too few days to tell what strays by itself.
    """

    rows: int
    first: int
    last: int
    features: Mapping[str, Histogram]
    score_rows: int
    scores: Histogram | None
    in_control: InControl | None = None

    @property
    def histograms(self) -> Mapping[str, Histogram]:
        """Those of the features and, if it is known, of the score (``SCORE``)."""
        return dict(self.features) if self.scores is None else {**self.features, SCORE: self.scores}

    def to_json(self) -> bytes:
        """The text of ``reference.json``."""
        return msgspec.json.encode(self) + b"\n"

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """The reference that ``to_json`` wrote. Raises msgspec.ValidationError or DecodeError (both ValueErrors) for anything else."""
        return msgspec.json.decode(text, type=cls)


def reference(
    names: tuple[str, ...],
    vectors: Float32,
    event_time: Int64,
    scores: Float64 | None = None,
    scores_time: Int64 | None = None,
    weight: Float64 | None = None,
    scores_weight: Float64 | None = None,
    unwatched: Collection[str] = (),
) -> Reference:
    """The reference of rows (float32, n × names, NaN = missing; ``event_time`` in ms) and of out-of-fold ``scores`` (0–1) with their
    times; each counts by its weight. Raises ValueError if there are no rows.

    What is older than eight weeks before the newest row is left out: ages, and windows that were not full yet, would make the past look
    more varied than what comes. A monitor has no limit for what is ``unwatched``, nor for the score, which out of fold is that of other
    models.
    """
    if not len(vectors):
        raise ValueError("a reference needs at least one row")
    since = (int(event_time.max()) // DAY + 1 - RECENT_DAYS) * DAY
    rows = _Rows.since(since, event_time, weight)
    columns = {name: rows.of(vectors[:, place]) for place, name in enumerate(names)}
    found = [(name, histogram(values, rows.weekday, rows.weight)) for name, values in columns.items()]
    days = [DailyCounts(name, rows.by_day(bins, columns[name]), name not in unwatched) for name, bins in found]
    scored = None
    if scores is not None and scores_time is not None:
        later = _Rows.since(since, scores_time, scores_weight)
        recent = later.of(scores)
        scored = histogram(recent, later.weekday, later.weight, categories=False)
    return Reference(
        _stood_for(len(rows.day), rows.weight),
        int(event_time[rows.chosen].min()),
        int(event_time.max()),
        dict(found),
        0 if scored is None else _stood_for(len(later.day), later.weight),
        scored,
        in_control(days, weekday_of(since + np.arange(RECENT_DAYS) * DAY)),
    )


@dataclass(frozen=True)
class _Rows:
    """The rows of ``RECENT_DAYS`` days, which are ``chosen`` of all: the number of each's day among these, its weekday and its weight."""

    chosen: Bool
    day: Int64
    weekday: Int64
    weight: Float64 | None

    @classmethod
    def since(cls, since: int, event_time: Int64, weight: Float64 | None) -> Self:
        chosen = (event_time >= since) & (event_time < since + RECENT_DAYS * DAY)
        time = event_time[chosen]
        return cls(chosen, (time - since) // DAY, weekday_of(time), None if weight is None else weight[chosen])

    def of(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        return values[self.chosen]

    def by_day(self, histogram: "Histogram", values: npt.NDArray[np.floating]) -> Int64:
        """How much fell into each of the histogram's bins on each day (days × bins)."""
        return _table(self.day, RECENT_DAYS, histogram, values, self.weight)


def histogram(values: npt.NDArray[np.floating], weekday: Int64, weight: Float64 | None = None, categories: bool = True) -> Histogram:
    """Bins from the values themselves: categories if there are few whole ones, else quantiles; ``weekday`` (0–6) and ``weight`` of each
    value."""
    present = np.unique(values[~np.isnan(values)]).astype(np.float64)
    if categories and 0 < len(present) <= MOST_CATEGORIES and np.array_equal(present, np.rint(present)):
        empty = Histogram(None, tuple(present.tolist()), (0,) * (len(present) + 2), ())
    else:
        edges: tuple[float, ...] = ()
        if len(present):
            edges = tuple(np.unique(_quantiles(values, weight).astype(np.float64)).tolist())
        empty = Histogram(edges, None, (0,) * (len(edges) + 2), ())
    table = _table(weekday, 7, empty, values, weight)
    return Histogram(empty.edges, empty.categories, tuple(table.sum(axis=0).tolist()), tuple(tuple(of_day) for of_day in table.tolist()))


def _table(row: Int64, rows: int, of: Histogram, values: npt.NDArray[np.floating], weight: Float64 | None) -> Int64:
    """What fell into which bin (rows × bins), of each value in which ``row``."""
    bins = len(of.counts)
    counts = np.bincount(row * bins + of.place(values), weight, rows * bins)
    return np.rint(counts).astype(np.int64).reshape(rows, bins)


def _quantiles(values: npt.NDArray[np.floating], weight: Float64 | None) -> npt.NDArray[np.floating]:
    there = ~np.isnan(values)
    shares = np.linspace(0, 1, QUANTILE_BINS + 1)[1:-1]
    if weight is None:
        return np.asarray(np.quantile(values[there], shares, method="lower"))
    return np.asarray(np.quantile(values[there], shares, method="inverted_cdf", weights=weight[there]))


def _stood_for(rows: int, weight: Float64 | None) -> int:
    return rows if weight is None else round(float(weight.sum()))


def made_of_labels(feature_set: FeatureSet) -> frozenset[str]:
    """The features that follow fraud itself and how late its labels come: waves of it are no drift of what customers do, and there are
    other alarms for them."""
    return frozenset(feature.name for feature in feature_set.features if feature.measure in OUTCOME_MEASURES)


def weekday_of(event_time: Int64) -> Int64:
    """The weekday of each time (ms, UTC): 0–6, Monday first."""
    return (event_time // DAY + _THURSDAY) % 7
