"""A histogram that counts whole arrays at once: what it costs hardly depends on how many values there are."""

from dataclasses import dataclass, field

import numpy as np

from features.arrays import Float64, Int64


@dataclass
class Tally:
    """How many values lie at or below each of ``bounds`` (rising) and above the one before; the last count has what is above all.

    One thread adds; others may read at any time, and may find the sum of an addition without its counts or the other way round.
    """

    bounds: tuple[float, ...]
    counts: Int64 = field(init=False)
    sum: float = 0.0

    def __post_init__(self) -> None:
        self._bounds = np.array(self.bounds)
        self.counts = np.zeros(len(self.bounds) + 1, np.int64)

    def add(self, values: Float64) -> None:
        """Counts these values, in the bounds' unit."""
        # As Prometheus has it, a bound belongs to what is below it.
        self.counts = self.counts + np.bincount(np.searchsorted(self._bounds, values), minlength=len(self.counts))
        self.sum += float(values.sum())

    def add_one(self, value: float) -> None:
        """Counts one value."""
        self.add(np.array([value]))
