"""Thresholds by cost: block what costs more let through than turned away, review what is worth an analyst's time."""

import numpy as np

from models.costs import Costs
from models.evaluation.ranking import ranked
from models.policy import NEVER, Bool, Choice, Float64, Int64, Policy, counts, require_same_rows

# Thresholds are looked for after this many numbers of rows, closer together at the top, where a row decides.
_STEPS = 400


def choose_policy_by_cost(
    probability: Float64,
    amount: Int64,
    is_fraud: Bool,
    costs: Costs,
    weight: Float64 | None = None,
    *,
    capacity: float = 0.005,
    elevated_share: float = 0.01,
    highest_share: float = 0.0025,
) -> Policy:
    """The thresholds that save most on scored validation rows (arrays of one length; amounts in minor units), each counted by its
    ``weight`` (> 0): rows sampled one in N, N times as heavy, stand for all.

    At most the share ``capacity`` (0–1) of all rows is reviewed, what the analysts can look at; blocks need nobody. Rows of one
    probability are decided alike. The levels start at the top ``elevated_share`` and ``highest_share``, or lower where decisions do.
    Raises ValueError if the arrays differ in length or a share is out of range.
    """
    require_same_rows(probability, amount, is_fraud, weight)
    if not all(0 <= share <= 1 for share in (capacity, elevated_share, highest_share)):
        raise ValueError(f"shares lie between 0 and 1, unlike {(capacity, elevated_share, highest_share)}")
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
        return float(falling[rows - 1]) if rows else NEVER

    def share(of_all: float) -> float:
        return threshold(int(ends[weighed[ends] <= of_all * weighed[-1]].max(initial=0)))

    block, review = threshold(blocked_end), threshold(flagged_end)
    highest = min(block, share(highest_share))
    elevated = min(review, highest, share(elevated_share))
    chosen = Choice(
        capacity=capacity,
        block_share=1.0,
        block_precision=0.0,
        costs=costs,
        saved=round(float(saved.max())),
        **counts(amount, is_fraud, probability >= review, probability >= block, weight),
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
