"""What decisions cost and save, in money."""

import msgspec
import numpy as np

from features.arrays import Bool, Float64, Int64


class Costs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one transaction costs by outcome and decision; shares are of its amount, all else in minor units.

    A fraud let through costs ``fraud_loss`` of its amount and the ``chargeback_fee``. A legitimate payment blocked costs the ``margin``
    on it and ``goodwill``, what a customer turned away is worth. A review costs ``review``, whatever comes of it, and is right: a fraud
    reviewed is stopped, a legitimate payment reviewed goes through. The figures are a card issuer's orders of magnitude: state your own.
    """

    fraud_loss: float = 1.0
    chargeback_fee: int = 1_500
    margin: float = 0.02
    goodwill: int = 1_000
    review: int = 300

    def __post_init__(self) -> None:
        if min(self.fraud_loss, self.chargeback_fee, self.margin, self.goodwill, self.review) < 0:
            raise ValueError("costs can't be negative")

    def lost(self, amount: Int64, is_fraud: Bool) -> Float64:
        """What each row costs if it is let through."""
        return np.where(is_fraud, self.fraud_loss * amount + self.chargeback_fee, 0.0)

    def saved_by_block(self, amount: Int64, is_fraud: Bool) -> Float64:
        """What blocking each row saves over letting it through; negative where it costs."""
        return np.where(is_fraud, self.lost(amount, is_fraud), -(self.margin * amount + self.goodwill))

    def saved_by_review(self, amount: Int64, is_fraud: Bool) -> Float64:
        """What reviewing each row saves over letting it through; negative where it costs."""
        return self.lost(amount, is_fraud) - self.review

    def saved(self, amount: Int64, is_fraud: Bool, reviewed: Bool, blocked: Bool) -> Float64:
        """Of each row, what the decision saved over letting everything through: fraud loss prevented minus margin and goodwill lost on
        false positives minus the cost of reviews."""
        return np.where(blocked, self.saved_by_block(amount, is_fraud), np.where(reviewed, self.saved_by_review(amount, is_fraud), 0.0))
