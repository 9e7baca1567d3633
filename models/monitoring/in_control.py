"""How far a model's input strays from its reference by itself, day by day, and from which sum on that is too much for chance.

Each day of the reference is compared with others of its days. A monitor adds up how much further than that its own days are (a CUSUM: Page,
1954, "Continuous inspection schemes"); all columns share one limit, so that there is one budget of false alarms for all together. The limit
comes from days drawn again and again from the reference's own, a week at a time and all columns of a day together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from features.arrays import Bool, Float64, Int64
from models.monitoring.divergence import jensen_shannon_distances, shares

TARGET_DAYS = 365
"""The mean number of days to a false alarm by any column, while nothing has changed, by what some weeks show: what wanders for months shows
itself in none of them, so that it is more often in truth (docs/monitoring.md has figures)."""
SLACK = 1.0
"""What a day may be further off than usual, in standard deviations, before it adds to the sum: half the shift that is looked for."""
MOST = 3.0
"""What a day adds at most, in standard deviations: a wave of a single day is no drift, whatever its size."""
STRAYS = 0.1
"""A column whose days differ from each other by more than this Jensen–Shannon distance when nothing is wrong (an age that grows) can't be
watched by comparison with the past."""
FEWEST_DAYS = 14
_WEEK = 7
_PATHS, _PATH_DAYS = 150, 3 * TARGET_DAYS
# One in twenty intervals misses.
_INTERVAL = (0.025, 0.975)
# Of columns that are nearly the same every day, such as one with a single value.
_LEAST_SPREAD = 1e-4


class Usual(msgspec.Struct, frozen=True):
    """Of one column: mean and standard deviation of its days' distances (Jensen–Shannon) from days two weeks or more away. ``watched``: it
    is meant to be, and doesn't stray too far by itself."""

    distance: float
    spread: float
    watched: bool


class RunLength(msgspec.Struct, frozen=True):
    """Days to a false alarm: their mean over days drawn from the reference, with its 95 % interval."""

    mean: float
    low: float
    high: float


class InControl(msgspec.Struct, frozen=True):
    """Of each column how it usually strays; ``rows`` are a day's at the median, ``days`` how many were looked at. ``limit`` is the sum at
    which a monitor speaks, which by itself takes ``run_length``."""

    columns: Mapping[str, Usual]
    rows: float
    days: int
    limit: float
    run_length: RunLength

    def excess(self, names: Sequence[str], distances: Float64, rows: float) -> Float64:
        """By how many standard deviations these distances (one a name) are larger than usual, of a day of so many ``rows``.

        Fewer rows than the reference's days had are further off by chance, as 1/√rows; of more of them no more is expected than of those
        days, for a day also has its own ways.
        """
        usual = [self.columns[name] for name in names]
        fewer = np.sqrt(max(1.0, self.rows / rows))
        centre, spread = np.array([one.distance for one in usual]), np.array([one.spread for one in usual])
        return np.asarray((distances / fewer - centre) / spread)


@dataclass(frozen=True)
class DailyCounts:
    """One column's counts by day and bin (days × bins), and whether it is to be watched."""

    name: str
    counts: Int64
    watched: bool = True


def in_control(columns: Sequence[DailyCounts], weekdays: Int64, seed: int = 0) -> InControl | None:
    """Of these columns, counted over the same days, whose ``weekdays`` are given (0–6). None if there are less than 14 days with rows, or
    if no column can be watched. The same input gives the same limit."""
    rows = columns[0].counts.sum(axis=1) if columns else np.empty(0, np.int64)
    there = rows > 0
    if np.count_nonzero(there) < FEWEST_DAYS:
        return None
    weekdays = weekdays[there]
    distances = np.column_stack([_from_the_others(column.counts[there], weekdays) for column in columns])
    centre, spread = distances.mean(axis=0), _spread(distances)
    watched = (centre < STRAYS) & np.array([column.watched for column in columns])
    if not watched.any():
        return None
    limit, run_length = _limit(((distances - centre) / spread)[:, watched], np.random.default_rng(seed))
    usual = {column.name: Usual(float(centre[place]), float(spread[place]), bool(watched[place])) for place, column in enumerate(columns)}
    return InControl(usual, float(np.median(rows[there])), len(weekdays), limit, run_length)


def step(sums: Float64, excess: Float64, days: float, limit: float) -> Float64:
    """The sums (one a column) after a time of so many ``days`` with this ``excess``. None grows beyond twice the limit, so that each comes
    down again once its column does."""
    return np.asarray(np.clip(sums + np.minimum(excess - SLACK, MOST) * days, 0.0, 2 * limit))


def _from_the_others(counts: Int64, weekdays: Int64) -> Float64:
    """Of each day how far it is from the days of its weekday that are two weeks or more away; from all others if there is none. What
    changes slowly is much the same a week later, and would seem steadier than it is."""
    by_weekday = np.zeros((_WEEK, counts.shape[1]))
    np.add.at(by_weekday, weekdays, counts)
    whole = counts.sum(axis=0)
    others = by_weekday[weekdays] - counts
    others[_WEEK:] -= counts[:-_WEEK]
    others[:-_WEEK] -= counts[_WEEK:]
    profile = np.where(others.sum(axis=1, keepdims=True) > 0, others, whole - counts)
    rest = (whole - counts).sum(axis=1, keepdims=True)
    return jensen_shannon_distances(shares(profile / profile.sum(axis=1, keepdims=True) * rest), shares(counts))


def _spread(distances: Float64) -> Float64:
    """Of each column (days × columns). Where a week's days stray together, as what looks back for a month does, it is that of weeks, as
    days would have to spread for it."""
    days = distances.std(axis=0, ddof=1)
    whole = len(distances) // _WEEK
    weeks = distances[len(distances) - whole * _WEEK :].reshape(whole, _WEEK, -1).mean(axis=1).std(axis=0, ddof=1)
    return np.asarray(np.maximum(np.maximum(days, weeks * np.sqrt(_WEEK)), _LEAST_SPREAD))


def _limit(excess: Float64, rng: np.random.Generator) -> tuple[float, RunLength]:
    """The lowest limit at which days drawn from these (days × columns) run for ``TARGET_DAYS`` at the mean, and what that is worth."""
    highest = _paths(excess, rng)
    low, high = 0.0, float(highest.max()) + 1.0
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (middle, high) if _mean_run(_runs(highest, middle), _ended(highest, middle)) < TARGET_DAYS else (low, middle)
    runs, ended = _runs(highest, high), _ended(highest, high)
    again = rng.integers(0, _PATHS, (1000, _PATHS))
    means = np.array([_mean_run(runs[drawn], ended[drawn]) for drawn in again])
    at = np.quantile(means, _INTERVAL)
    return high, RunLength(_mean_run(runs, ended), float(at[0]), float(at[1]))


def _paths(excess: Float64, rng: np.random.Generator) -> Float64:
    """The highest sum of any column after each day (paths × days), while nothing comes down from a limit.

    Days drawn are blurred (a smoothed bootstrap: Silverman and Young, 1987): else none would be further off than the furthest of some
    dozens, and how long a run is would leap as the limit passes that one.
    """
    days = len(excess)
    blur = 1.06 * days**-0.2
    starts = rng.integers(0, days, (_PATHS, -(-_PATH_DAYS // _WEEK)))
    drawn = ((starts[:, :, None] + np.arange(_WEEK)) % days).reshape(_PATHS, -1)[:, :_PATH_DAYS]
    sums = np.zeros((_PATHS, excess.shape[1]))
    highest = np.empty((_PATHS, _PATH_DAYS))
    for day in range(_PATH_DAYS):
        blurred = (excess[drawn[:, day]] + blur * rng.standard_normal(sums.shape)) / np.sqrt(1 + blur**2)
        sums = np.maximum(0.0, sums + np.minimum(blurred - SLACK, MOST))
        highest[:, day] = sums.max(axis=1)
    return highest


def _ended(highest: Float64, limit: float) -> Bool:
    return np.asarray((highest >= limit).any(axis=1))


def _runs(highest: Float64, limit: float) -> Int64:
    over = highest >= limit
    return np.asarray(np.where(over.any(axis=1), over.argmax(axis=1) + 1, highest.shape[1]), np.int64)


def _mean_run(runs: Int64, ended: Bool) -> float:
    """Days over alarms, which takes into account that some paths end without one."""
    return float(runs.sum() / max(1, np.count_nonzero(ended)))
