"""The policy: from a fraud probability to a decision and a risk level, and how its thresholds were chosen."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Self, TypedDict

import msgspec
import numpy as np
import numpy.typing as npt

from models.costs import Costs
from models.evaluation.ranking import ranked

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

# No probability reaches it, so a threshold that stands here never fires.
NEVER = 2.0

# A precision measured on fewer rows says little.
_FEWEST_ROWS = 10


class Choice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the thresholds were asked to keep, and what they gave on the validation rows; amounts in minor units, shares 0–1.

    Counts and amounts are of the rows as weighted, rounded; ``reviewed`` and ``blocked`` count rows, ``caught`` the frauds among both.
    Where they were chosen by cost, ``costs`` were these and ``saved`` is what the decisions saved over none. What is None isn't written,
    so that policies from before keep their digest.
    """

    capacity: float
    block_share: float
    block_precision: float
    rows: int
    frauds: int
    fraud_amount: int
    reviewed: int
    blocked: int
    blocked_frauds: int
    caught: int
    caught_amount: int
    costs: Costs | None = None
    saved: int | None = None


class Policy(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Thresholds on the probability (0–1, inclusive from below; ``NEVER`` if none is reached): the content of ``policy.json``.

    Every blocked transaction is of the highest level, every reviewed one at least elevated. ValueError where thresholds contradict that.
    """

    review_threshold: float
    block_threshold: float
    elevated_threshold: float
    highest_threshold: float
    chosen: Choice | None = None

    def __post_init__(self) -> None:
        thresholds = (self.review_threshold, self.block_threshold, self.elevated_threshold, self.highest_threshold)
        if not all(0 <= threshold <= NEVER for threshold in thresholds):
            raise ValueError(f"policy thresholds lie between 0 and {NEVER:g} (never), not {thresholds}")
        if self.review_threshold > self.block_threshold:
            raise ValueError(f"the review threshold {self.review_threshold} lies above the block threshold {self.block_threshold}")
        if self.elevated_threshold > min(self.review_threshold, self.highest_threshold) or self.highest_threshold > self.block_threshold:
            raise ValueError(f"risk levels must start no later than the decisions they stand for, unlike {thresholds}")

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of the canonical JSON (sorted keys, no spaces)."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()

    def to_json(self) -> bytes:
        """The text of ``policy.json``."""
        return msgspec.json.format(msgspec.json.encode(self, order="sorted"), indent=2) + b"\n"

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """The policy that ``to_json`` wrote. Raises msgspec.ValidationError or DecodeError (both ValueErrors) for anything else."""
        return msgspec.json.decode(text, type=cls)


def choose_policy(
    probability: Float64,
    amount: Int64,
    is_fraud: Bool,
    weight: Float64 | None = None,
    *,
    capacity: float = 0.005,
    block_share: float = 0.0025,
    block_precision: float = 0.9,
    elevated_share: float = 0.01,
    highest_share: float = 0.0025,
) -> Policy:
    """Thresholds from scored validation rows (arrays of one length; amounts in minor units), each counted by its ``weight`` (> 0).

    Blocked is as much of the top as keeps a precision of at least ``block_precision``, up to the share ``block_share`` of all rows;
    reviewed what comes next, until reviews and blocks together fill ``capacity``, what the analysts can look at. Rows of one probability
    are decided alike, so a share is never exceeded. The levels start at the top ``elevated_share`` and ``highest_share``, or lower where
    decisions do. Raises ValueError if the arrays differ in length or a share is out of range.
    """
    require_same_rows(probability, amount, is_fraud, weight)
    shares = (block_share, capacity, highest_share, elevated_share, block_precision)
    if not all(0 <= share <= 1 for share in shares) or block_share > capacity:
        raise ValueError(f"shares lie between 0 and 1, the blocks' within the capacity; got blocks {block_share}, capacity {capacity}")
    levels = _Levels.of(probability, is_fraud, weight)
    precise = (levels.precision >= block_precision) & (levels.rows >= _FEWEST_ROWS)
    block = levels.lowest(levels.within(block_share) & precise)
    review = min(block, levels.lowest(levels.within(capacity)))
    highest = min(block, levels.lowest(levels.within(highest_share)))
    elevated = min(review, highest, levels.lowest(levels.within(elevated_share)))
    counted = counts(amount, is_fraud, probability >= review, probability >= block, weight)
    chosen = Choice(capacity=capacity, block_share=block_share, block_precision=block_precision, **counted)
    return Policy(review_threshold=review, block_threshold=block, elevated_threshold=elevated, highest_threshold=highest, chosen=chosen)


def require_same_rows(probability: Float64, amount: Int64, is_fraud: Bool, weight: Float64 | None) -> None:
    """Raises ValueError unless these are of one length, and the weights, if any, above 0."""
    if not len(probability) == len(amount) == len(is_fraud):
        raise ValueError(f"{len(probability)} probabilities, {len(amount)} amounts and {len(is_fraud)} labels are not of the same rows")
    if weight is not None and (len(weight) != len(probability) or not (weight > 0).all()):
        raise ValueError(f"{len(probability)} rows need as many weights, all above 0")


class Counts(TypedDict):
    """What a ``Choice`` counts; see there."""

    rows: int
    frauds: int
    fraud_amount: int
    reviewed: int
    blocked: int
    blocked_frauds: int
    caught: int
    caught_amount: int


def counts(amount: Int64, is_fraud: Bool, flagged: Bool, blocked: Bool, weight: Float64 | None) -> Counts:
    """Of these rows (an entry each), of which those ``flagged`` are reviewed or ``blocked``."""

    def total(of: Bool | Int64) -> int:
        return int(of.sum()) if weight is None else round(float((of * weight).sum()))

    return {
        "rows": total(np.ones(len(amount), np.int64)),
        "frauds": total(is_fraud),
        "fraud_amount": total(amount * is_fraud),
        "reviewed": total(flagged & ~blocked),
        "blocked": total(blocked),
        "blocked_frauds": total(blocked & is_fraud),
        "caught": total(flagged & is_fraud),
        "caught_amount": total(amount * (flagged & is_fraud)),
    }


@dataclass(frozen=True)
class _Levels:
    """Each distinct probability, highest first, with the rows at or above it, what they weigh, and the precision among them."""

    probability: Float64
    rows: Int64
    weight: Float64
    precision: Float64

    @classmethod
    def of(cls, probability: Float64, is_fraud: Bool, weight: Float64 | None) -> Self:
        order, falling, last = ranked(probability)
        each = np.ones(len(order)) if weight is None else weight[order]
        above = np.cumsum(each)[last]
        return cls(falling[last], last + 1, above, np.cumsum(each * is_fraud[order])[last] / above)

    def within(self, share: float) -> Bool:
        """Where the rows at or above are no more than this share (0–1) of all, as weighted."""
        within: Bool = self.weight <= share * self.weight.max(initial=0)
        return within

    def lowest(self, allowed: Bool) -> float:
        """The lowest allowed probability, NEVER if there is none."""
        return float(self.probability[allowed].min(initial=NEVER))
