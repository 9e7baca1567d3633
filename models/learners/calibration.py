"""Calibration: from a model's log-odds to probabilities that come true as often as predicted.

Platt's (1999, "Probabilistic Outputs for Support Vector Machines"): a straight line in log-odds, fitted by maximum likelihood to rows that
the model didn't learn from. It is strictly rising, so it neither makes ties nor changes an order, and folds into a booster's leaves.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from sklearn.linear_model import LogisticRegression

from features.arrays import Bool, Float64
from models.evaluation.metrics import has_both_classes

# What is nearer to 0 or 1 counts as this far away.
_NEAREST = 1e-15


def probability_of(log_odds: Float64) -> Float64:
    """The probabilities (0–1) that these log-odds stand for; neither overflows, nor rounds different small ones to one."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -log_odds)), np.float64)


def log_odds_of(probability: Float64) -> Float64:
    """The log-odds that these probabilities (0–1) stand for; finite at 0 and 1 too, which models say that can tell all rows apart."""
    inside = np.clip(probability.astype(np.float64), _NEAREST, 1 - _NEAREST)
    return np.asarray(np.log(inside) - np.log1p(-inside), np.float64)


@dataclass(frozen=True, slots=True)
class Platt:
    """Calibrated log-odds are ``slope`` (> 0) times the model's, plus ``intercept``. ValueError for a slope that isn't positive."""

    slope: float = 1.0
    intercept: float = 0.0

    def __post_init__(self) -> None:
        if not self.slope > 0:
            raise ValueError(f"a calibration must rise, but its slope is {self.slope}")

    def probability(self, log_odds: Float64) -> Float64:
        """Probabilities (float64, 0–1) of log-odds (one entry a row)."""
        return probability_of(self.slope * log_odds + self.intercept)

    @classmethod
    def fit(cls, log_odds: Float64, is_fraud: Bool, weight: Float64 | None = None) -> Self:
        """The likeliest line through rows that the model hasn't seen (one entry a row, both classes), each counted by its ``weight``.

        A model whose log-odds are no better than chance is left as it is. Raises ValueError if only one class is present.
        """
        if not has_both_classes(is_fraud):
            raise ValueError(f"a calibration needs frauds and others, got {int(is_fraud.sum())} frauds among {len(is_fraud)} rows")
        # On standardised log-odds the solver takes the same few steps for every model.
        centre, scale = float(log_odds.mean()), float(log_odds.std())
        if scale == 0:
            return cls()
        line = LogisticRegression(C=np.inf, solver="lbfgs", tol=1e-8).fit(((log_odds - centre) / scale)[:, None], is_fraud, weight)
        slope = float(line.coef_[0, 0]) / scale
        return cls(slope, float(line.intercept_[0]) - slope * centre) if slope > 0 else cls()
