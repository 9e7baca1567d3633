"""Models side by side over weeks of the handbook's protocol: each week's figures, their mean, and intervals over users."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.arrays import Bool, Float64, Int64
from features.definitions import DAY
from models.evaluation.bootstrap import RESAMPLES, Interval, bootstrap
from models.evaluation.metrics import has_both_classes
from models.evaluation.weighted_metrics import CardRanking, Ranking
from tests.benchmarks.handbook.handbook_protocol import CARDS_A_DAY, Figures

FIGURES = ("auc", "ap", "cp100")


@dataclass(frozen=True)
class Week:
    """The rows by which a week is judged (as ``judged_rows`` picks them), one entry a row, and each model's ``probability`` of them."""

    event_time: Int64
    user: npt.NDArray[np.generic]
    is_fraud: Bool
    probability: Mapping[str, Float64]


@dataclass(frozen=True)
class Compared:
    """For each model the ``figures`` (``auc``, ``ap``, ``cp100``) of each week, in order, and their ``mean``, with intervals; and by how
    much its mean is ``above`` each other model's, on the same resampled users."""

    figures: Mapping[str, tuple[Mapping[str, Interval], ...]]
    mean: Mapping[str, Mapping[str, Interval]]
    above: Mapping[tuple[str, str], Mapping[str, Interval]]


def compare(weeks: Sequence[Week], rng: np.random.Generator, resamples: int = RESAMPLES) -> Compared:
    """Compares the models that all ``weeks`` have scores of; a user who is drawn is drawn with all weeks.

    Raises ValueError without weeks, and if a week has but one class.
    """
    if not weeks or not all(has_both_classes(week.is_fraud) for week in weeks):
        raise ValueError("each week needs frauds and others to be judged by")
    models = tuple(weeks[0].probability)
    ranked = [{model: _Ranked.of(week, model) for model in models} for week in weeks]
    ends = np.cumsum([len(week.event_time) for week in weeks])[:-1]

    def statistic(weight: Int64) -> dict[str, float]:
        found: dict[str, float] = {}
        for model in models:
            by_week = np.array([ranks[model].figures(part) for ranks, part in zip(ranked, np.split(weight, ends), strict=True)])
            for name, values in zip(FIGURES, by_week.T, strict=True):
                found |= {f"{model}/{name}/{number}": float(value) for number, value in enumerate(values)}
                found[f"{model}/{name}"] = float(values.mean())
        for model in models:
            for other in models:
                found |= {f"{model}>{other}/{name}": found[f"{model}/{name}"] - found[f"{other}/{name}"] for name in FIGURES}
        return found

    intervals = bootstrap(np.concatenate([week.user for week in weeks]), statistic, rng, resamples=resamples)
    return Compared(
        {m: tuple({name: intervals[f"{m}/{name}/{number}"] for name in FIGURES} for number in range(len(weeks))) for m in models},
        {m: {name: intervals[f"{m}/{name}"] for name in FIGURES} for m in models},
        {(m, o): {name: intervals[f"{m}>{o}/{name}"] for name in FIGURES} for m in models for o in models if m != o},
    )


def claims(found: Mapping[str, Interval], published: Figures) -> dict[str, str]:
    """For each figure what may be said of it beside the ``published`` one: ``above`` only if the whole interval is, ``higher, but the
    interval doesn't allow the claim``, or ``not above``."""

    def said(interval: Interval, bar: float) -> str:
        if interval.above(bar):
            return "above"
        return "higher, but the interval doesn't allow the claim" if interval.value > bar else "not above"

    return {name: said(found[name], getattr(published, name)) for name in FIGURES}


@dataclass(frozen=True)
class _Ranked:
    rows: Ranking
    cards: CardRanking

    @classmethod
    def of(cls, week: Week, model: str) -> "_Ranked":
        probability = week.probability[model]
        return cls(Ranking.of(week.is_fraud, probability), CardRanking.of(week.event_time // DAY, week.user, week.is_fraud, probability))

    def figures(self, weight: Int64) -> tuple[float, float, float]:
        curve = self.rows.curve(weight)
        return curve.auc_roc, curve.average_precision, self.cards.card_precision_at_k(weight, CARDS_A_DAY)
