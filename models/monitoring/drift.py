"""How a model's input and scores differ now from what they were when it was made.

Rows are compared with a reference that has the same weekdays in the same proportions, so that a weekend is no drift.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from features.arrays import Float64, Int64
from models.monitoring.divergence import jensen_shannon_distance, kolmogorov_smirnov, population_stability_index, shares
from models.monitoring.reference import SCORE, Histogram, Reference, weekday_of

Level = Literal["none", "some", "much"]
# What is customary for a PSI (Siddiqi, 2006, "Credit Risk Scorecards").
SOME, MUCH = 0.1, 0.25


class Drift(msgspec.Struct, frozen=True):
    """How far one column is from its reference: ``psi``, ``js`` and ``ks`` (see ``divergence``), and what they mean by custom.

    ``missing`` and ``unseen`` are shares of rows, 0–1: without a value, and of a category that the reference doesn't have; each with the
    reference's own.
    """

    name: str
    psi: float
    js: float
    ks: float
    level: Level
    missing: float
    missing_then: float
    unseen: float


def drifts(reference: Reference, columns: Mapping[str, npt.NDArray[np.floating]], scores: Float64, event_time: Int64) -> list[Drift]:
    """Of each column of the reference and of the ``scores`` (0–1), as they are in rows with these times (ms), the furthest first.

    Raises ValueError if there are no rows, and KeyError if a column is missing.
    """
    if not len(event_time):
        raise ValueError("drift needs at least one row")
    days = np.bincount(weekday_of(event_time), minlength=7)
    found = [drift(name, histogram, histogram.count(columns[name]), days) for name, histogram in reference.features.items()]
    if reference.scores is not None:
        found.append(drift(SCORE, reference.scores, reference.scores.count(scores), days))
    return sorted(found, key=lambda one: (-one.psi, one.name))


def expected_counts(histogram: Histogram, days: Int64) -> Float64:
    """What the reference has in each bin, were its weekdays as frequent as in ``days`` (rows of each, Monday first). A weekday of which it
    has no rows counts like all."""
    return np.asarray(sum(histogram.counts) * (days / days.sum()) @ histogram.profiles)


def drift(name: str, histogram: Histogram, counts: npt.NDArray[np.number], days: Int64) -> Drift:
    """Of one column's counts in its reference's bins, of rows on such weekdays (rows of each, Monday first)."""
    then = expected_counts(histogram, days)
    expected, observed = shares(then), shares(counts)
    psi = population_stability_index(expected, observed)
    level: Level = "much" if psi > MUCH else "some" if psi > SOME else "none"
    unseen = float(counts[-2] / counts.sum()) if histogram.categories is not None else 0.0
    return Drift(
        name,
        psi,
        jensen_shannon_distance(expected, observed),
        kolmogorov_smirnov(expected, observed),
        level,
        float(counts[-1] / counts.sum()),
        float(then[-1] / then.sum()),
        unseen,
    )
