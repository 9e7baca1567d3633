"""The policy: from a fraud probability to a decision and a risk level, and how its thresholds were chosen."""

import hashlib
from functools import cached_property
from typing import Literal, Self

import msgspec

from models.costs import Costs

# No probability reaches it, so a threshold that stands here never fires.
UNREACHABLE = 2.0


class ThresholdChoice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
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
    """Thresholds on the probability (0–1, inclusive from below; ``UNREACHABLE`` if none is reached): the content of ``policy.json``.

    Every blocked transaction is of the highest level, every reviewed one at least elevated. ValueError where thresholds contradict that.
    """

    review_threshold: float
    block_threshold: float
    elevated_threshold: float
    highest_threshold: float
    chosen: ThresholdChoice | None = None

    def __post_init__(self) -> None:
        thresholds = (self.review_threshold, self.block_threshold, self.elevated_threshold, self.highest_threshold)
        if not all(0 <= threshold <= UNREACHABLE for threshold in thresholds):
            raise ValueError(f"policy thresholds lie between 0 and {UNREACHABLE:g} (never), not {thresholds}")
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


Action = Literal["approve", "review", "block"]
RiskLevel = Literal["normal", "elevated", "highest"]
ACTIONS: tuple[Action, ...] = ("approve", "review", "block")
RISK_LEVELS: tuple[RiskLevel, ...] = ("normal", "elevated", "highest")
