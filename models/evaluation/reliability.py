"""Whether probabilities come true: shares of frauds against the probabilities that were predicted."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from features.arrays import Bool, Float64, Int64

BINS = 10


@dataclass(frozen=True)
class Bins:
    """Rows in bins of about equal weight by probability: ``of_row`` (one entry a row) numbers its bin, of ``count``, from the lowest."""

    of_row: Int64
    count: int

    @classmethod
    def of(cls, probability: Float64, weight: Float64 | None = None, bins: int = BINS) -> Self:
        """The bins of at least one row, counted by its ``weight``; equal probabilities share one, so there may be fewer of them."""
        # By the one method that knows weights, and always with weights, so that a row of weight 2 makes the bins that two rows make.
        each = np.ones(len(probability)) if weight is None else weight
        edges = np.unique(np.quantile(probability, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf", weights=each))
        return cls(np.searchsorted(edges, probability, side="right"), len(edges) + 1)


def reliability(probability: Float64, is_fraud: Bool, weight: Float64 | None = None, bins: int = BINS) -> tuple[Float64, Float64, Float64]:
    """Of each bin: mean probability, share of frauds, rows, all as weighted. One entry a row, at least one."""
    of_row = Bins.of(probability, weight, bins)
    each = np.ones(len(probability)) if weight is None else weight
    rows = np.asarray(np.bincount(of_row.of_row, each, of_row.count), np.float64)
    there = rows > 0
    announced = np.bincount(of_row.of_row, probability * each, of_row.count)[there]
    come_true = np.bincount(of_row.of_row, is_fraud * each, of_row.count)[there]
    return announced / rows[there], come_true / rows[there], rows[there]


def expected_calibration_error(announced: Float64, come_true: Float64, rows: float) -> float:
    """The mean distance between probability and outcome over ``rows`` rows, 0–1, given each bin's sum of both (Naeini et al., 2015,
    "Obtaining Well Calibrated Probabilities Using Bayesian Binning", but with bins of equal size); NaN without rows."""
    return float(np.abs(announced - come_true).sum() / rows) if rows else float("nan")
