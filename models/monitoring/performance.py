"""How good the decisions were that a model version made, by what has become of them."""

from collections.abc import Mapping

import msgspec
import numpy as np

from features.arrays import Bool
from models.costs import Costs
from models.evaluation.judgement import Decided, Judgement, judge_decided
from models.evaluation.scored_rows import ScoredRows
from models.monitoring.outcomes import Outcomes

RESAMPLES = 200


class Performance(msgspec.Struct, frozen=True):
    """Of one version's decisions: how many were made (``decisions``), of how many the outcome isn't known yet (``immature``) or never will
    be (``unseen``: blocked without a label), the share of the younger frauds that have a label by now (``known``, 0–1; None without younger
    ones), and the figures of the others, by segment too.

    Figures leave out what is unseen: they are those of what was let through or reviewed, and of blocked payments with a label.
    """

    decisions: int
    immature: int
    unseen: int
    known: float | None
    all: Judgement
    segments: Mapping[str, Mapping[str, Judgement]]


def performance(
    rows: ScoredRows, decided: Decided, outcomes: Outcomes, costs: Costs, seed: int = 0, resamples: int = RESAMPLES
) -> Performance:
    """Of these decisions (one entry a decision in each, ``rows.is_fraud`` being the outcomes'). The same input gives the same intervals."""
    counted, young = outcomes.counted, ~outcomes.mature

    def of(chosen: Bool) -> Judgement:
        return judge_decided(rows.where(chosen), Decided(decided.flagged[chosen], decided.blocked[chosen]), costs, seed, resamples)

    return Performance(
        len(rows),
        int(np.count_nonzero(young)),
        int(np.count_nonzero(outcomes.mature & ~outcomes.seen)),
        float(outcomes.known[young].mean()) if young.any() else None,
        of(counted),
        {
            division: {part: of(counted & (parts == part)) for part in np.unique(parts[counted]).tolist()}
            for division, parts in rows.segments.items()
        },
    )
