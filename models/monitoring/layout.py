"""A reference's bins, of all its columns one after the other: so what many rows have in them is one array of counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from features.arrays import Float64, Int64
from models.monitoring.divergence import jensen_shannon_distances, shares
from models.monitoring.reference import Histogram, Reference


@dataclass(frozen=True)
class Layout:
    """``names`` and ``histograms`` of the columns; column i has the bins from ``begins[i]`` to before ``begins[i + 1]``. ``profiles`` (7 ×
    bins) are each weekday's shares within each column, ``weights`` (one a column) how many rows the reference has of it."""

    names: tuple[str, ...]
    histograms: tuple[Histogram, ...]
    begins: Int64
    profiles: Float64
    weights: Float64

    @classmethod
    def of(cls, reference: Reference) -> Self:
        """That of the features in their order, and then of the score if the reference has it."""
        histograms = reference.histograms
        sizes = [len(histogram.counts) for histogram in histograms.values()]
        return cls(
            tuple(histograms),
            tuple(histograms.values()),
            np.cumsum([0, *sizes]),
            np.concatenate([histogram.profiles for histogram in histograms.values()], axis=1),
            np.array([sum(histogram.counts) for histogram in histograms.values()], np.float64),
        )

    @property
    def bins(self) -> int:
        """How many there are, of all columns together."""
        return int(self.begins[-1])

    def count(self, columns: Mapping[str, npt.NDArray[np.floating]], group: Int64, groups: int) -> Int64:
        """What rows have in each bin (groups × bins), of each row in its ``group`` (0 to groups − 1)."""
        found = np.empty((groups, self.bins), np.int64)
        for name, histogram, begin, end in zip(self.names, self.histograms, self.begins, self.begins[1:], strict=False):
            width = int(end - begin)
            placed = group * width + histogram.place(columns[name])
            found[:, begin:end] = np.bincount(placed, minlength=groups * width).reshape(groups, width)
        return found

    def part(self, counts: npt.NDArray[np.number], name: str) -> npt.NDArray[np.number]:
        """One column's bins."""
        place = self.names.index(name)
        return counts[self.begins[place] : self.begins[place + 1]]

    def distances(self, counts: Int64, days: Int64) -> Float64:
        """How far each column is (Jensen–Shannon) from what the reference would have, were its weekdays as frequent as in ``days`` (rows of
        each, Monday first; at least one)."""
        expected = days / days.sum() @ self.profiles
        return np.array(
            [
                float(jensen_shannon_distances(shares(expected[begin:end] * weight), shares(counts[begin:end])))
                for begin, end, weight in zip(self.begins, self.begins[1:], self.weights, strict=False)
            ]
        )
