"""A candidate against the champion on the same rows: is it worse than may be?

Paired: both are judged on the same resampled users, so what makes a week easy or hard for both cancels out. The candidate holds if it isn't
inferior: if, with 95 % confidence, it loses no more than the margin (a one-sided non-inferiority test by bootstrap percentiles).
"""

from collections.abc import Mapping

import msgspec
import numpy as np

from features.arrays import Float64
from models.costs import Costs
from models.evaluation.bootstrap import Clusters
from models.evaluation.judgement import Decided, Statistic
from models.evaluation.metrics import has_both_classes
from models.evaluation.scored_rows import ScoredRows
from models.policy import Policy

COMPARISON_RESAMPLES = 300
CONFIDENCE = 0.95


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much worse than the champion a candidate may be: ``average_precision`` and ``auc_roc`` (0–1), ``money_saved`` (share of what the
    champion saves); ``calibration_error`` as a share of the rows' fraud rate, unless the champion's is larger; ``one_ms`` for one row and
    ``each_us`` for each of a thousand (medians), unless the champion takes two thirds of that; ``frauds``: the fewest to compare on."""

    average_precision: float = 0.02
    auc_roc: float = 0.015
    money_saved: float = 0.05
    calibration_error: float = 0.5
    one_ms: float = 5.0
    each_us: float = 50.0
    frauds: int = 30


LIMITS = Limits()


class Difference(msgspec.Struct, frozen=True):
    """A figure of both, and the least that candidate minus champion is with 95 % confidence; it holds from ``-margin`` on."""

    candidate: float
    champion: float
    least: float
    margin: float

    @property
    def holds(self) -> bool:
        """Whether the candidate isn't worse beyond the margin."""
        return self.least >= -self.margin


class Comparison(msgspec.Struct, frozen=True):
    """Both on the same rows, of which ``rows``, ``frauds`` and ``users`` count those there are, all else as weighted; times are the rows'
    first and last (ms)."""

    rows: int
    frauds: int
    users: int
    first: int
    last: int
    differences: Mapping[str, Difference]
    calibration_error: tuple[float, float]
    fraud_rate: float


def compare(rows: ScoredRows, candidate: tuple[Float64, Policy], champion: tuple[Float64, Policy], costs: Costs) -> Comparison:
    """Candidate and champion, each with its probabilities of the rows (0–1) and its policy. The same input gives the same comparison.

    Raises ValueError if the rows don't hold both classes.
    """
    if not has_both_classes(rows.is_fraud):
        raise ValueError("a comparison needs frauds and others")
    of_candidate, of_champion = (
        Statistic(rows.scored(probability), Decided.by(policy, probability), costs) for probability, policy in (candidate, champion)
    )
    ones = np.ones(len(rows), np.int64)
    ours, theirs = of_candidate(ones), of_champion(ones)
    margins = {
        "average_precision": LIMITS.average_precision,
        "auc_roc": LIMITS.auc_roc,
        "money_saved": LIMITS.money_saved * abs(theirs["money_saved"]),
    }
    rng = np.random.Generator(np.random.PCG64(0))
    drawn: dict[str, list[float]] = {name: [] for name in margins}
    for weight in Clusters.of(rows.user).weights(rng, COMPARISON_RESAMPLES):
        one, other = of_candidate(weight), of_champion(weight)
        for name, differences in drawn.items():
            differences.append(one[name] - other[name])
    return Comparison(
        len(rows),
        rows.frauds,
        len(np.unique(rows.user)),
        int(rows.event_time.min()),
        int(rows.event_time.max()),
        {
            name: Difference(ours[name], theirs[name], float(np.nanquantile(drawn[name], 1 - CONFIDENCE)), margin)
            for name, margin in margins.items()
        },
        (ours["calibration_error"], theirs["calibration_error"]),
        rows.fraud_rate,
    )


def objections(found: Comparison) -> list[str]:
    """Why the candidate must not take over, in words; empty if there is no objection."""
    sentences = [
        f"its {name.replace('_', ' ')} may be {_number(-difference.least)} lower than the champion's ({_number(difference.candidate)} "
        f"against {_number(difference.champion)}), more than the margin of {_number(difference.margin)}"
        for name, difference in found.differences.items()
        if not difference.holds
    ]
    ours, theirs = found.calibration_error
    allowed = max(LIMITS.calibration_error * found.fraud_rate, theirs)
    if ours > allowed:
        sentences.append(f"its calibration error is {_number(ours)}, more than {_number(allowed)}")
    return sentences


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4f}"
