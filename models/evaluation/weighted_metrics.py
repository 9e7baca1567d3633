"""The ranking metrics of ``models/evaluation/metrics.py`` for weighted rows, sorted once for any number of weightings: what a bootstrap
asks for.

A row of weight 2 counts as two equal rows, one of weight 0 isn't there (one entry a row, ≥ 0).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from features.arrays import Bool, Float64, Int64
from models.evaluation.ranking import ranked, ranked_cards


@dataclass(frozen=True)
class Ranking:
    """Rows ranked by probability, highest first: ``order`` lists them, ``last`` the places where a run of equal probabilities ends."""

    order: Int64
    last: Int64
    is_fraud: Bool

    @classmethod
    def of(cls, is_fraud: Bool, probability: Float64) -> Self:
        """One entry a row, at least one. Raises ValueError without any."""
        if not len(probability):
            raise ValueError("a ranking needs at least one row")
        order, _, last = ranked(probability)
        return cls(order, last, is_fraud[order])

    def curve(self, weight: Int64 | Float64) -> "Curve":
        """What stands at or above each threshold, the rows weighted."""
        weight = weight[self.order]
        frauds = np.cumsum(np.where(self.is_fraud, weight, 0))[self.last]
        return Curve(frauds.astype(np.float64), (np.cumsum(weight)[self.last] - frauds).astype(np.float64))


@dataclass(frozen=True)
class Curve:
    """Of each threshold, highest first, the weight of the ``frauds`` and of the ``others`` at or above it; figures are NaN if only one
    class has weight."""

    frauds: Float64
    others: Float64

    @property
    def has_both_classes(self) -> bool:
        """Whether frauds and others have weight."""
        return bool(self.frauds[-1] and self.others[-1])

    @property
    def auc_roc(self) -> float:
        """Area under the ROC curve, 0–1."""
        if not self.has_both_classes:
            return float("nan")
        return float(np.trapezoid(np.append(0, self.frauds), np.append(0, self.others)) / (self.frauds[-1] * self.others[-1]))

    @property
    def average_precision(self) -> float:
        """Mean of the precision over the recall steps, 0–1."""
        if not self.has_both_classes:
            return float("nan")
        flagged = self.frauds + self.others
        precision = self.frauds / np.where(flagged > 0, flagged, 1.0)
        # Not as a product of vectors: BLAS would use threads, which wait for each other on busy cores.
        return float(np.sum(np.diff(self.frauds, prepend=0) * precision) / self.frauds[-1])

    def recall_at(self, false_positive_rate: float) -> float:
        """The highest recall, 0–1, at a threshold that flags no larger share than this (0–1) of the others."""
        if not self.has_both_classes:
            return float("nan")
        # Others only add up down the list, so the last threshold within the rate is the best.
        within = int(np.searchsorted(self.others, false_positive_rate * self.others[-1], side="right"))
        return float(self.frauds[within - 1] / self.frauds[-1]) if within else 0.0


@dataclass(frozen=True)
class CardRanking:
    """The cards of each day, ranked by their highest probability that day: for each ``day`` the ``card``, whether it was ``compromised``
    that day, and a ``row`` that has its weight. There are ``cards`` of them."""

    days: tuple[tuple[Int64, Bool, Int64], ...]
    cards: int

    @classmethod
    def of(cls, day: Int64, user: npt.NDArray[np.generic], is_fraud: Bool, probability: Float64) -> Self:
        """One entry a transaction, as for ``card_precision_at_k``. Raises ValueError without any."""
        card, days = ranked_cards(day, user, is_fraud, probability)
        a_row = np.zeros(card.max() + 1, np.int64)
        a_row[card] = np.arange(len(card))
        return cls(tuple((cards, compromised, a_row[cards]) for cards, compromised in days), len(a_row))

    def card_precision_at_k(self, weight: Int64, k: int = 100) -> float:
        """Card Precision@k, 0–1; all rows of a card have one weight, a whole number, and a card of weight 2 is two cards."""
        caught = np.zeros(self.cards, np.bool_)
        daily = []
        for card, compromised, row in self.days:
            cards = np.where(caught[card], 0, weight[row])
            before = np.cumsum(cards) - cards
            found = np.where(compromised, np.minimum(cards, np.maximum(k - before, 0)), 0)
            # Of two equal cards at the end of the list one may be looked at and not the other; both then count as caught.
            caught[card[found > 0]] = True
            daily.append(found.sum() / k)
        return float(np.mean(daily))
