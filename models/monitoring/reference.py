"""What a model's input and scores looked like when it was made, for a monitor to compare with: the content of ``reference.json``.

Scores are those of rows that the scoring booster hadn't seen; of rows it was fitted to they would be too sure.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Self

import msgspec
import numpy as np
import numpy.typing as npt

from features.arrays import Float32, Float64, Int64
from features.definitions import DAY

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
    """Histograms of each feature, by its name, over all rows that the model was made of, and of the scores over those out of fold.

    ``rows`` and ``score_rows`` are how many transactions these rows stand for; they and the counts are as weighted, rounded. Times are the
    rows' first and last, ms.
    """

    rows: int
    first: int
    last: int
    features: Mapping[str, Histogram]
    score_rows: int
    scores: Histogram | None

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
) -> Reference:
    """The reference of rows (float32, n × names, NaN = missing; ``event_time`` in ms) and of out-of-fold ``scores`` (0–1) with their
    times; each counts by its weight. Raises ValueError if there are no rows."""
    if not len(vectors):
        raise ValueError("a reference needs at least one row")
    weekday = weekday_of(event_time)
    features = {name: histogram(vectors[:, place], weekday, weight) for place, name in enumerate(names)}
    scored = None
    if scores is not None and scores_time is not None:
        scored = histogram(scores, weekday_of(scores_time), scores_weight, categories=False)
    return Reference(
        _stood_for(len(vectors), weight),
        int(event_time.min()),
        int(event_time.max()),
        features,
        0 if scores is None else _stood_for(len(scores), scores_weight),
        scored,
    )


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
    bins = len(empty.counts)
    table = np.rint(np.bincount(weekday * bins + empty.place(values), weight, 7 * bins)).astype(np.int64).reshape(7, bins)
    return Histogram(empty.edges, empty.categories, tuple(table.sum(axis=0).tolist()), tuple(tuple(of_day) for of_day in table.tolist()))


def _quantiles(values: npt.NDArray[np.floating], weight: Float64 | None) -> npt.NDArray[np.floating]:
    there = ~np.isnan(values)
    shares = np.linspace(0, 1, QUANTILE_BINS + 1)[1:-1]
    if weight is None:
        return np.asarray(np.quantile(values[there], shares, method="lower"))
    return np.asarray(np.quantile(values[there], shares, method="inverted_cdf", weights=weight[there]))


def _stood_for(rows: int, weight: Float64 | None) -> int:
    return rows if weight is None else round(float(weight.sum()))


def weekday_of(event_time: Int64) -> Int64:
    """The weekday of each time (ms, UTC): 0–6, Monday first."""
    return (event_time // DAY + _THURSDAY) % 7
