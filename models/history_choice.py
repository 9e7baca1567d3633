"""How much history to learn from: more rows, or fresher ones? Customers and fraudsters drift, so the latest known weeks decide.

Each choice is a mean, in log-odds, of models of one or several lengths of history, stopped after so many rounds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from models.metrics import Bool, Float64, auc_roc, average_precision

Scored = Mapping[tuple[int, int], Float64]
"""Log-odds of one fold's rows by days of history and rounds."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The lengths of history (days) whose models are averaged, and their rounds; ``auc_roc`` and ``average_precision`` are its means over
    the folds."""

    days: tuple[int, ...]
    rounds: int
    auc_roc: float = 0.0
    average_precision: float = 0.0

    @property
    def merit(self) -> float:
        """The mean of both: precision alone looks at the top of the ranking only, and pays for it with what lies far below."""
        return (self.auc_roc + self.average_precision) / 2

    def log_odds(self, scored: Scored) -> Float64:
        """The mean of its models' log-odds."""
        return np.asarray(np.mean([scored[days, self.rounds] for days in self.days], axis=0))


def choices(scored: Sequence[Scored], is_fraud: Sequence[Bool]) -> tuple[Choice, ...]:
    """Every choice, the best first: by its merit over the folds (one entry a fold), of equal ones the one of fewer models and rounds.

    Folds of one class are passed over; raises ValueError if none is left.
    """
    both = [(one, fraud) for one, fraud in zip(scored, is_fraud, strict=True) if 0 < np.count_nonzero(fraud) < len(fraud)]
    if not both:
        raise ValueError("no fold has frauds and others")
    lengths = sorted({days for days, _ in both[0][0]})
    found = []
    for number in range(1, len(lengths) + 1):
        for days in combinations(lengths, number):
            for rounds in sorted({rounds for _, rounds in both[0][0]}):
                log_odds = [Choice(days, rounds).log_odds(one) for one, _ in both]
                judged = [(auc_roc(fraud, said), average_precision(fraud, said)) for said, (_, fraud) in zip(log_odds, both, strict=True)]
                found.append(Choice(days, rounds, *(float(figure) for figure in np.mean(judged, axis=0))))
    return tuple(sorted(found, key=lambda choice: (-choice.merit, len(choice.days), choice.rounds)))
