"""Thresholds by cost: block what costs more let through than turned away, review what is worth an analyst's time."""

from typing import TypedDict

import numpy as np

from features.arrays import Bool, Float64, Int64
from models.costs import Costs
from models.evaluation.ranking import ranked
from models.policy import UNREACHABLE, Policy, ThresholdChoice

# Thresholds are looked for after this many numbers of rows, closer together at the top, where a row decides.
_STEPS = 400
_ELEVATED_SHARE, _HIGHEST_SHARE = 0.01, 0.0025


def choose_policy(
    probability: Float64,
    amount: Int64,
    is_fraud: Bool,
    costs: Costs,
    weight: Float64 | None = None,
    *,
    capacity: float,
) -> Policy:
    """The thresholds that save most on scored validation rows (arrays of one length; amounts in minor units), each counted by its
    ``weight`` (> 0): rows sampled one in N, N times as heavy, stand for all.

    At most the share ``capacity`` (0–1) of all rows is reviewed, what the analysts can look at; blocks need nobody. Rows of one
    probability are decided alike. The levels start at the top 1 % (elevated) and 0.25 % (highest) of the rows, or lower where decisions
    do. Raises ValueError if the arrays differ in length or the capacity is out of range.
    """
    _require_same_rows(probability, amount, is_fraud, weight)
    if not 0 <= capacity <= 1:
        raise ValueError(f"the capacity is a share between 0 and 1, unlike {capacity}")
    order, falling, last = ranked(probability)
    each = np.ones(len(order)) if weight is None else weight[order]
    weighed = np.append(0.0, np.cumsum(each))
    ends = _ends(last, weighed)
    by_block, by_review = (
        np.append(0.0, np.cumsum(saved(amount, is_fraud)[order] * each))[ends] for saved in (costs.saved_by_block, costs.saved_by_review)
    )
    # Of each pair (blocked up to here, flagged up to there): what it saves, and whether the analysts can review what lies between.
    reviewed = weighed[ends][None, :] - weighed[ends][:, None]
    saved = np.where(
        (reviewed >= 0) & (reviewed <= capacity * weighed[-1]), by_block[:, None] + by_review[None, :] - by_review[:, None], -np.inf
    )
    blocked_end, flagged_end = (int(ends[at]) for at in np.unravel_index(int(np.argmax(saved)), saved.shape))

    def threshold(rows: int) -> float:
        return float(falling[rows - 1]) if rows else UNREACHABLE

    def share(of_all: float) -> float:
        return threshold(int(ends[weighed[ends] <= of_all * weighed[-1]].max(initial=0)))

    block, review = threshold(blocked_end), threshold(flagged_end)
    highest = min(block, share(_HIGHEST_SHARE))
    elevated = min(review, highest, share(_ELEVATED_SHARE))
    chosen = ThresholdChoice(
        capacity=capacity,
        block_share=1.0,
        block_precision=0.0,
        costs=costs,
        saved=round(float(saved.max())),
        **_counts(amount, is_fraud, probability >= review, probability >= block, weight),
    )
    return Policy(review_threshold=review, block_threshold=block, elevated_threshold=elevated, highest_threshold=highest, chosen=chosen)


def _ends(last: Int64, weighed: Float64) -> Int64:
    """Numbers of rows, from 0 on, after which a threshold can stand: where one probability ends, the places in ``last``. ``weighed`` is
    what so many rows weigh, from 0 rows on."""
    ends = last + 1
    if len(ends) > _STEPS:
        # Rounded to the next place where a threshold can stand.
        wanted = np.geomspace(min(1.0, weighed[1]), weighed[-1], _STEPS)
        ends = np.unique(ends[np.searchsorted(weighed[ends], wanted, side="left").clip(max=len(ends) - 1)])
    return np.append(0, ends).astype(np.int64)


def _require_same_rows(probability: Float64, amount: Int64, is_fraud: Bool, weight: Float64 | None) -> None:
    """Raises ValueError unless these are of one length, and the weights, if any, above 0."""
    if not len(probability) == len(amount) == len(is_fraud):
        raise ValueError(f"{len(probability)} probabilities, {len(amount)} amounts and {len(is_fraud)} labels are not of the same rows")
    if weight is not None and (len(weight) != len(probability) or not (weight > 0).all()):
        raise ValueError(f"{len(probability)} rows need as many weights, all above 0")


class _Counts(TypedDict):
    """What a ``ThresholdChoice`` counts; see there."""

    rows: int
    frauds: int
    fraud_amount: int
    reviewed: int
    blocked: int
    blocked_frauds: int
    caught: int
    caught_amount: int


def _counts(amount: Int64, is_fraud: Bool, flagged: Bool, blocked: Bool, weight: Float64 | None) -> _Counts:
    """Counts over these rows (an entry each); ``flagged`` ones are reviewed, unless they are ``blocked``."""

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
