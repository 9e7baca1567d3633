"""How much history to learn from: more rows, or fresher ones? Customers and fraudsters drift, so the latest known weeks decide.

Each choice is a mean, in log-odds, of models of one or several lengths of history.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Self

import numpy as np

from features.arrays import Bool, Float64
from models.evaluation.metrics import average_precision, has_both_classes

LogOddsByDays = Mapping[int, Float64]
"""Log-odds of one fold's rows by the days of history that the model learnt from."""


@dataclass(frozen=True, slots=True)
class HistoryAverage:
    """The lengths of history (days) whose models are averaged; ``average_precision`` is its mean over the folds."""

    days: tuple[int, ...]
    average_precision: float

    def log_odds(self, scored: LogOddsByDays) -> Float64:
        """The mean of its models' log-odds."""
        return np.asarray(np.mean([scored[days] for days in self.days], axis=0))


@dataclass(frozen=True)
class HistoryChoice:
    """The ``days`` of history whose models are averaged, and ``tried``: the mean average precision (0–1) of each choice there was."""

    days: tuple[int, ...]
    tried: Mapping[str, float]

    @classmethod
    def of(cls, compared: Sequence[HistoryAverage]) -> Self:
        """The first of those compared."""
        return cls(compared[0].days, {f"{'+'.join(map(str, one.days))} days": one.average_precision for one in compared})


def choices(
    scored: Sequence[LogOddsByDays], is_fraud: Sequence[Bool], weight: Sequence[Float64 | None] | None = None
) -> tuple[HistoryAverage, ...]:
    """Every choice, the best first: by mean average precision over the folds (one entry a fold, its rows counted by their ``weight``), of
    equal ones the one of fewer models. Folds of one class are passed over; raises ValueError if none is left."""
    weight = [None] * len(scored) if weight is None else weight
    both = [fold for fold in zip(scored, is_fraud, weight, strict=True) if has_both_classes(fold[1])]
    if not both:
        raise ValueError("no fold has frauds and others")
    lengths = sorted(both[0][0])
    found = []
    for number in range(1, len(lengths) + 1):
        for days in combinations(lengths, number):
            choice = HistoryAverage(days, 0.0)
            precision = float(np.mean([average_precision(fraud, choice.log_odds(one), weighs) for one, fraud, weighs in both]))
            found.append(HistoryAverage(days, precision))
    return tuple(sorted(found, key=lambda choice: (-choice.average_precision, len(choice.days))))
