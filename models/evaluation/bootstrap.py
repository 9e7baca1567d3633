"""Bootstrap intervals, clustered: whole users are drawn, not transactions, for those of one user rise and fall together.

After Cameron, Gelbach and Miller (2008), "Bootstrap-Based Improvements for Inference with Clustered Errors"; percentile intervals after
Efron and Tibshirani (1993), ch. 13.

A resample is a weight for each row: how often its user was drawn. A statistic takes these weights, so rows are sorted once, not once a
resample, and several statistics, or two models, are compared on the same resamples.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from features.arrays import Float64, Int64

Statistic = Callable[[Int64], Mapping[str, float]]
"""Named figures of the rows, each counted as often as its weight (one entry a row, whole, ≥ 0); NaN where a resample has none."""

RESAMPLES = 1_000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure of the rows as they are, and between which two values it lies at the confidence ``LEVEL``."""

    value: float
    low: float
    high: float

    def above(self, other: float) -> bool:
        """Whether the whole interval lies above ``other``: only then may the figure be called higher."""
        return self.low > other


@dataclass(frozen=True)
class Clusters:
    """Which rows belong together: ``code`` (one entry a row) numbers the ``count`` clusters from 0."""

    code: Int64
    count: int

    @classmethod
    def of(cls, user: npt.NDArray[np.generic]) -> Self:
        """One cluster for each distinct ``user`` (one entry a row, of any sortable type)."""
        users, code = np.unique(user, return_inverse=True)
        return cls(code.astype(np.int64), len(users))

    def weights(self, rng: np.random.Generator, resamples: int) -> Iterator[Int64]:
        """For each resample a weight for each row: as many clusters as there are, drawn with replacement."""
        for _ in range(resamples):
            drawn = np.bincount(rng.integers(0, self.count, self.count), minlength=self.count)
            yield drawn[self.code]


def bootstrap(user: npt.NDArray[np.generic], statistic: Statistic, rng: np.random.Generator, *, resamples: int) -> dict[str, Interval]:
    """A percentile interval for each figure of the statistic; the same generator state gives the same intervals.

    ``user`` has one entry a row. Resamples for which a figure is NaN don't count for it. Raises ValueError without rows.
    """
    clusters = Clusters.of(user)
    if not clusters.count:
        raise ValueError("there are no rows to resample")
    found = dict(statistic(np.ones(len(clusters.code), np.int64)))
    drawn: dict[str, list[float]] = {name: [] for name in found}
    for weight in clusters.weights(rng, resamples):
        for name, value in statistic(weight).items():
            drawn[name].append(value)
    return {name: percentile_interval(value, np.array(drawn[name])) for name, value in found.items()}


def percentile_interval(value: float, drawn: Float64) -> Interval:
    """The interval that holds the middle 95 % (``LEVEL``) of the figures ``drawn``, NaN left out; NaN to NaN if none is left."""
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high))
