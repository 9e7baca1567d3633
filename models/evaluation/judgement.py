"""How good a model is on rows that had no part in making it: its ranking, its decisions at thresholds fixed before, its probabilities, its
money; with intervals for users that might as well have come, and by segment.

Each row counts as many transactions as it stands for: rows sampled by class would else be useless for calibration, money or precision.
Only cards count as they came: Card Precision ranks a day's cards by their highest probability, and the highest of all rows can't be
estimated from some of them by weights. It wants whole days.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import msgspec
import numpy as np

from features.arrays import Bool, Float64, Int64
from features.definitions import DAY
from models.costs import Costs
from models.evaluation.bootstrap import Interval, bootstrap
from models.evaluation.reliability import Bins, expected_calibration_error
from models.evaluation.scored_rows import BANDS, KnownFrauds, ScoredRows
from models.evaluation.weighted_metrics import CardRanking, Ranking
from models.policy import Policy

CARDS_A_DAY = 100
FALSE_POSITIVE_RATES = {"0.1": 0.001, "0.5": 0.005, "1": 0.01}
EVALUATION_RESAMPLES = 200
_RESAMPLES_OF_PARTS = 100
# An interval of fewer frauds would be as wide as the scale.
FEWEST_FRAUDS = 5
_MOST_PARTS = 12
# A mean of distances: what a resample adds to each bin by chance makes it larger, never smaller, so that resamples lie around another value
# than the rows' own and their middle may leave it out (Kumar, Liang and Ma, 2019, "Verified Uncertainty Calibration"; Roelofs et al., 2022,
# "Mitigating Bias in Calibration Error Estimation"). Of the probabilities the Brier score has an interval.
WITHOUT_INTERVAL = frozenset({"calibration_error"})


class Figure(msgspec.Struct, frozen=True):
    """A figure and its 95 % interval; None where the rows don't determine it."""

    value: float | None
    low: float | None
    high: float | None


class Judgement(msgspec.Struct, frozen=True):
    """The figures of some rows: ranking (``auc_roc``, ``average_precision``, ``recall_at_…_fpr``, ``card_precision_at_100``, 0–1),
    decisions (``review_…`` of what was flagged for a review or a block, ``block_…`` of what was blocked; 0–1), probabilities (``brier``,
    ``calibration_error``, 0–1), money (minor units: ``money_saved``, ``cost``, ``cost_of_no_decisions``). ``rows``, ``frauds`` and
    ``users`` are as many as there are, whatever their weights."""

    rows: int
    frauds: int
    users: int
    figures: Mapping[str, Figure]


class Evaluation(msgspec.Struct, frozen=True):
    """A model judged at a policy's thresholds: on all rows, on those of customers not yet known to be compromised
    (``KnownFrauds``), and by segment: division, part, judgement. Times are the rows' first and last, ms."""

    first: int
    last: int
    costs: Costs
    all: Judgement
    unknown_customers: Judgement
    segments: Mapping[str, Mapping[str, Judgement]]

    def as_metrics(self, prefix: str) -> dict[str, float]:
        """Flat, for a table of runs: each figure of all rows with its bounds, and the value where known customers are excluded."""
        flat: dict[str, float] = {}
        for suffix, judgement in (("", self.all), ("_unknown_customers", self.unknown_customers)):
            for name, figure in judgement.figures.items():
                bounds = (("", figure.value), ("_low", figure.low), ("_high", figure.high))
                flat |= {f"{prefix}{name}{suffix}{end}": value for end, value in bounds if value is not None}
        return flat

    def to_json(self) -> bytes:
        """As an indented JSON object."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


@dataclass(frozen=True)
class Decided:
    """What was decided on each row: ``flagged`` for a review or a block, or ``blocked``."""

    flagged: Bool
    blocked: Bool

    @classmethod
    def by(cls, policy: Policy, probability: Float64) -> Self:
        """What a policy decides by the probability alone."""
        return cls(probability >= policy.review_threshold, probability >= policy.block_threshold)


def evaluate(
    rows: ScoredRows, policy: Policy, costs: Costs, known: KnownFrauds, seed: int = 0, resamples: int = EVALUATION_RESAMPLES
) -> Evaluation:
    """Judge the rows' probabilities at the policy's thresholds, which must have been fixed without these rows.

    ``known`` are the frauds, earlier ones too, that show which customers are compromised. Raises ValueError if there are no rows.
    """
    if not len(rows):
        raise ValueError("an evaluation needs at least one row")
    unknown = rows.where(known.unknown(rows))
    return Evaluation(
        int(rows.event_time.min()),
        int(rows.event_time.max()),
        costs,
        judge(rows, policy, costs, seed, resamples),
        judge(unknown, policy, costs, seed, resamples),
        {name: dict(_by_part(rows, parts, policy, costs, seed, resamples)) for name, parts in rows.segments.items()},
    )


def judge(rows: ScoredRows, policy: Policy, costs: Costs, seed: int = 0, resamples: int = EVALUATION_RESAMPLES) -> Judgement:
    """The figures of these rows, had the policy decided; without intervals if there are few frauds among them."""
    return judge_decided(rows, Decided.by(policy, rows.probability), costs, seed, resamples)


def judge_decided(rows: ScoredRows, decided: Decided, costs: Costs, seed: int = 0, resamples: int = EVALUATION_RESAMPLES) -> Judgement:
    """The figures of these rows as they were decided; without intervals if there are few frauds among them."""
    if not len(rows):
        return Judgement(0, 0, 0, {})
    statistic = Statistic(rows, decided, costs)
    users = len(np.unique(rows.user))
    if rows.frauds < FEWEST_FRAUDS or not resamples:
        plain = statistic(np.ones(len(rows), np.int64))
        return Judgement(len(rows), rows.frauds, users, {name: Figure(_known(value), None, None) for name, value in plain.items()})
    rng = np.random.Generator(np.random.PCG64(seed))
    intervals = bootstrap(rows.user, statistic, rng, resamples=resamples)
    figures = {name: _figure(name, found) for name, found in intervals.items()}
    return Judgement(len(rows), rows.frauds, users, figures)


class Statistic:
    """All figures of some rows, at least one, each row counted as often as its user's weight, times its own: what
    ``models.evaluation.bootstrap`` resamples.

    Whatever is a sum over rows is summed up for each user once, for resamples are many.
    """

    def __init__(self, rows: ScoredRows, decided: Decided, costs: Costs) -> None:
        self._ranking = Ranking.of(rows.is_fraud, rows.probability)
        self._cards = CardRanking.of(rows.event_time // DAY, rows.user, rows.is_fraud, rows.probability)
        self._a_row, self._user = np.unique(rows.user, return_index=True, return_inverse=True)[1:]
        self._bins = Bins.of(rows.probability, rows.weight)
        self._each = rows.weight
        flagged, blocked = decided.flagged, decided.blocked
        self._sums = {
            "rows": self._by_user(np.ones(len(rows))),
            "frauds": self._by_user(rows.is_fraud),
            "squares": self._by_user((rows.probability - rows.is_fraud) ** 2),
            "lost": self._by_user(costs.lost(rows.amount, rows.is_fraud)),
            "saved": self._by_user(costs.saved(rows.amount, rows.is_fraud, flagged & ~blocked, blocked)),
            **{f"{name}_flagged": self._by_user(chosen) for name, chosen in (("review", flagged), ("block", blocked))},
            **{f"{name}_caught": self._by_user(chosen & rows.is_fraud) for name, chosen in (("review", flagged), ("block", blocked))},
        }
        self._announced, self._come_true = self._by_user_and_bin(rows.probability), self._by_user_and_bin(rows.is_fraud)

    def __call__(self, weight: Int64) -> dict[str, float]:
        """The figures; NaN where the weighted rows don't determine one."""
        of_user = weight[self._a_row].astype(np.float64)
        sums = {name: float(of_user @ column) for name, column in self._sums.items()}
        curve = self._ranking.curve(weight if self._each is None else weight * self._each)
        found = {"auc_roc": curve.auc_roc, "average_precision": curve.average_precision}
        found |= {f"recall_at_{name}_percent_fpr": curve.recall_at(rate) for name, rate in FALSE_POSITIVE_RATES.items()}
        found[f"card_precision_at_{CARDS_A_DAY}"] = self._cards.card_precision_at_k(weight, CARDS_A_DAY)
        for name in ("review", "block"):
            caught, flagged = sums[f"{name}_caught"], sums[f"{name}_flagged"]
            found[f"{name}_precision"] = _ratio(caught, flagged)
            found[f"{name}_recall"] = _ratio(caught, sums["frauds"])
            found[f"{name}_f1"] = _ratio(2 * caught, flagged + sums["frauds"])
            legitimate, passed = sums["rows"] - sums["frauds"], sums["rows"] - flagged
            found[f"{name}_false_positive_rate"] = _ratio(flagged - caught, legitimate)
            found[f"{name}_negative_predictive_value"] = _ratio(passed - (sums["frauds"] - caught), passed)
        found["brier"] = _ratio(sums["squares"], sums["rows"])
        found["calibration_error"] = expected_calibration_error(of_user @ self._announced, of_user @ self._come_true, sums["rows"])
        return found | {"money_saved": sums["saved"], "cost": sums["lost"] - sums["saved"], "cost_of_no_decisions": sums["lost"]}

    def _by_user(self, values: np.ndarray) -> Float64:
        return np.asarray(np.bincount(self._user, self._weighed(values), len(self._a_row)), np.float64)

    def _by_user_and_bin(self, values: np.ndarray) -> Float64:
        cell = self._user * self._bins.count + self._bins.of_row
        found = np.bincount(cell, self._weighed(values), len(self._a_row) * self._bins.count)
        return np.asarray(found, np.float64).reshape(-1, self._bins.count)

    def _weighed(self, values: np.ndarray) -> np.ndarray:
        return values if self._each is None else values * self._each


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _by_part(
    rows: ScoredRows, parts: np.ndarray, policy: Policy, costs: Costs, seed: int, resamples: int
) -> Iterator[tuple[str, Judgement]]:
    names, counts = np.unique(parts, return_counts=True)
    # Of a division into very many only the largest parts.
    largest = np.argsort(-counts, kind="stable")[:_MOST_PARTS]
    # Bands in their order, all else by name.
    for name in sorted(names[largest].tolist(), key=lambda name: (BANDS.index(name) if name in BANDS else 0, name)):
        yield name, judge(rows.where(parts == name), policy, costs, seed, min(resamples, _RESAMPLES_OF_PARTS))


def _figure(name: str, found: Interval) -> Figure:
    if name in WITHOUT_INTERVAL:
        return Figure(_known(found.value), None, None)
    return Figure(_known(found.value), _known(found.low), _known(found.high))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
