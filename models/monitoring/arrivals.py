"""Do more frauds come to light than the scores say? An early alarm, from the first labels on, for risk that the model doesn't see.

Each payment that was let through is worth its probability of fraud, of which the part is due by now that labels of its age show. So the
scores say how many labels should arrive each day, long before a cohort has matured; what arrives beyond that is fraud that was scored too
low. Days are added up by an e-detector (Shin, Ramdas and Rinaldo, 2022, "E-detectors: a nonparametric framework for sequential change
detection"): while arrivals are as expected or fewer, the mean number of days to its first alarm is at least its limit, however often one
looks; a prediction-powered relative of what "Prediction-Powered Risk Monitoring" (arXiv 2602.02229) does for bounded losses.
"""

from dataclasses import dataclass
from typing import Self

import msgspec
import numpy as np

from features.arrays import Bool, Float64, Int64
from features.definitions import DAY, HOUR
from models.training_set.label_maturity import share_known

LIMIT = 120.0
"""Of the e-detector: in days, the least mean time to a false alarm."""
TOLERANCE = 0.25
"""By how much more than the scores say may arrive before that is a fault: no calibration holds for ever."""
# What is looked for: so many times as many as are tolerated. All count alike.
_RATIOS = np.array([1.25, 1.5, 2.0, 3.0, 5.0])
FEWEST_FRAUDS = 30


class Day(msgspec.Struct, frozen=True):
    """A day's arrivals: its first ms, how many were ``expected`` and ``observed``, and the e-detector's value after it."""

    day: int
    expected: float
    observed: int
    evidence: float


class Arrivals(msgspec.Struct, frozen=True):
    """Day by day. ``clustered``: how many frauds come together, at the mean of a fraud (1: each for itself)."""

    days: list[Day]
    clustered: float

    @property
    def newest(self) -> Day:
        """The last day."""
        return self.days[-1]

    @property
    def alarm_since(self) -> int | None:
        """The first day (ms) of the alarm that isn't over; None if there is none now. It is over once the evidence is gone again."""
        since = None
        for day in self.days:
            if day.evidence >= LIMIT:
                since = day.day if since is None else since
            elif day.evidence < 1:
                since = None
        return since


@dataclass(frozen=True)
class Passed:
    """Payments that were let through, an entry each: ``event_time`` (ms), ``user`` (any numbering), ``probability`` (0–1), whether a label
    says fraud by now, and that label's time (ms; of no meaning without)."""

    event_time: Int64
    user: Int64
    probability: Float64
    is_fraud: Bool
    label_time: Int64

    def __len__(self) -> int:
        return len(self.event_time)

    def where(self, rows: Bool) -> Self:
        """The rows for which the mask is true."""
        return type(self)(self.event_time[rows], self.user[rows], self.probability[rows], self.is_fraud[rows], self.label_time[rows])


def arrivals(passed: Passed, as_of: int, delay: int) -> Arrivals | None:
    """Of payments up to ``as_of``, day by day of label time, the last one whole; ``delay`` (ms): how long labels take at most.

    How soon labels come is learnt from the frauds among matured payments. None if there are less than 30 of these.
    """
    matured = passed.is_fraud & (passed.event_time + delay <= as_of)
    if np.count_nonzero(matured) < FEWEST_FRAUDS:
        return None
    took = np.clip(passed.label_time - passed.event_time, 0, delay)[matured]
    first, last = int(passed.event_time.min()) // DAY, as_of // DAY
    expected = _due(passed, took, first, last)
    arrived = passed.label_time[passed.is_fraud] // DAY
    observed = np.bincount((arrived[(arrived >= first) & (arrived < last)] - first).astype(np.int64), minlength=last - first)
    clustered = _clustered(passed.where(matured))
    evidence = detect(observed, expected, clustered)
    days = zip(range(first, last), expected.tolist(), observed.tolist(), evidence.tolist(), strict=True)
    return Arrivals([Day(day * DAY, *of_day) for day, *of_day in days], clustered)


def detect(observed: Int64, expected: Float64, clustered: float) -> Float64:
    """The e-detector's value after each day."""
    tolerated = (1 + TOLERANCE) * expected
    steps = np.exp((observed[:, None] * np.log(_RATIOS) - (_RATIOS - 1) * tolerated[:, None]) / clustered)
    values, value = np.empty(len(observed)), np.zeros(len(_RATIOS))
    for day, step in enumerate(steps):
        # Beyond any limit it says no more, and would take for ever to come back.
        value = np.minimum((1 + value) * step, LIMIT * 10)
        values[day] = value.mean()
    return values


def _due(passed: Passed, took: Int64, first: int, last: int) -> Float64:
    """How many labels should arrive on each day, by the probabilities and by how long labels ``took`` (ms)."""
    hours = passed.event_time // HOUR
    begin = int(hours.min())
    worth = np.bincount(hours - begin, passed.probability)
    middle = (begin + np.arange(len(worth))) * HOUR + HOUR // 2
    midnights = np.arange(first, last + 1)[:, None] * DAY
    known = np.where(midnights > middle, share_known(took, midnights - middle), 0.0)
    return np.asarray(np.diff(known @ worth))


def _clustered(frauds: Passed) -> float:
    """Of the frauds of one user those of seven days come together: a stolen card is used more than once."""
    week = frauds.event_time // (7 * DAY)
    _, sizes = np.unique(np.column_stack([frauds.user, week]), axis=0, return_counts=True)
    return float((sizes**2).sum() / sizes.sum())
