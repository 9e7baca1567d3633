"""How much history to learn from: more rows, or fresher ones? Customers and fraudsters drift, so the latest known weeks decide.

Each choice is a mean, in log-odds, of models of one or several lengths of history, stopped after so many rounds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from features.arrays import Bool, Float64
from models.evaluation.metrics import average_precision, has_both_classes

Scored = Mapping[tuple[int, int], Float64]
"""Log-odds of one fold's rows by days of history and rounds."""


@dataclass(frozen=True, slots=True)
class HistoryAverage:
    """The lengths of history (days) whose models are averaged, and their rounds; ``average_precision`` is its mean over the folds."""

    days: tuple[int, ...]
    rounds: int
    average_precision: float

    def log_odds(self, scored: Scored) -> Float64:
        """The mean of its models' log-odds."""
        return np.asarray(np.mean([scored[days, self.rounds] for days in self.days], axis=0))


def choices(
    scored: Sequence[Scored], is_fraud: Sequence[Bool], weight: Sequence[Float64 | None] | None = None
) -> tuple[HistoryAverage, ...]:
    """Every choice, the best first: by mean average precision over the folds (one entry a fold, its rows counted by their ``weight``), of
    equal ones the one of fewer models and rounds. Folds of one class are passed over; raises ValueError if none is left."""
    weight = [None] * len(scored) if weight is None else weight
    both = [fold for fold in zip(scored, is_fraud, weight, strict=True) if has_both_classes(fold[1])]
    if not both:
        raise ValueError("no fold has frauds and others")
    lengths = sorted({days for days, _ in both[0][0]})
    found = []
    for number in range(1, len(lengths) + 1):
        for days in combinations(lengths, number):
            for rounds in sorted({rounds for _, rounds in both[0][0]}):
                choice = HistoryAverage(days, rounds, 0.0)
                precision = float(np.mean([average_precision(fraud, choice.log_odds(one), weighs) for one, fraud, weighs in both]))
                found.append(HistoryAverage(days, rounds, precision))
    return tuple(sorted(found, key=lambda choice: (-choice.average_precision, len(choice.days), choice.rounds)))
