"""Scored transactions whose outcome is known: what every judgement of a model is made on."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from features.arrays import Bool, Float64, Int64
from features.definitions import DAY

Labels = npt.NDArray[np.str_]

# Upper ends in minor units, exclusive.
_BANDS = ((1_000, "below 10"), (5_000, "10 to 50"), (22_000, "50 to 220"))
_TOP_BAND = "220 and more"
BANDS = (*(name for _, name in _BANDS), _TOP_BAND)
NEW_USER_MS = 7 * DAY
# The handbook's training week, whose compromised customers are known when its test week begins.
HANDBOOK_WEEK_MS = 7 * DAY


@dataclass(frozen=True)
class ScoredRows:
    """One entry a transaction: ``event_time`` (ms), ``user`` (any numbering of users), ``amount`` (minor units), ``is_fraud``,
    ``probability`` (0–1). ``segments`` maps a division (country, …) to each row's part of it. ``weight`` is how many transactions each row
    stands for; without, all stand for themselves alone.

    Raises ValueError if the columns differ in length.
    """

    event_time: Int64
    user: Int64
    amount: Int64
    is_fraud: Bool
    probability: Float64
    segments: Mapping[str, Labels] = field(default_factory=dict)
    weight: Float64 | None = None

    def __post_init__(self) -> None:
        columns = [self.event_time, self.user, self.amount, self.is_fraud, self.probability, *self.segments.values()]
        columns += [] if self.weight is None else [self.weight]
        if len({len(column) for column in columns}) != 1:
            raise ValueError(f"columns of one set of rows differ in length: {', '.join(str(len(column)) for column in columns)}")

    def __len__(self) -> int:
        return len(self.event_time)

    @property
    def frauds(self) -> int:
        """How many rows are frauds."""
        return int(np.count_nonzero(self.is_fraud))

    @property
    def fraud_rate(self) -> float:
        """The share of frauds, 0–1, as weighted; NaN without rows."""
        return float(np.average(self.is_fraud, weights=self.weight)) if len(self) else float("nan")

    def where(self, rows: Bool) -> Self:
        """The rows for which the mask is true."""
        return type(self)(
            self.event_time[rows],
            self.user[rows],
            self.amount[rows],
            self.is_fraud[rows],
            self.probability[rows],
            {name: parts[rows] for name, parts in self.segments.items()},
            None if self.weight is None else self.weight[rows],
        )

    def scored(self, probability: Float64) -> Self:
        """The same rows with another model's probabilities."""
        return replace(self, probability=probability)


def amount_bands(amount: Int64) -> Labels:
    """The band of each amount (minor units, of a currency with two decimals)."""
    return np.array(BANDS)[np.searchsorted([end for end, _ in _BANDS], amount, side="right")]


def newness(age_seconds: npt.NDArray[np.floating]) -> Labels:
    """``new`` for users whose first transaction is less than a week ago, or who had none (NaN); else ``known``."""
    new = np.isnan(age_seconds) | (age_seconds * 1_000 < NEW_USER_MS)
    return np.where(new, "new", "known")


@dataclass(frozen=True)
class KnownFrauds:
    """Frauds from which it is known that a customer was compromised: ``event_time`` (ms) and ``user``, an entry each, and ``delay`` (ms),
    how late that is known."""

    event_time: Int64
    user: Int64
    delay: int

    @classmethod
    def of(cls, event_time: Int64, user: Int64, is_fraud: Bool, delay: int) -> Self:
        """The frauds among some rows, one entry a row."""
        return cls(event_time[is_fraud], user[is_fraud], delay)

    def unknown(self, rows: ScoredRows) -> Bool:
        """Which rows are left once customers already known to be compromised are excluded, as the Fraud Detection Handbook does (ch. 3.4):
        those with a fraud of the last ``delay`` and week before the first row's day, or since, known by the beginning of the row's day."""
        first_day = int(rows.event_time.min(initial=0 if not len(rows) else np.iinfo(np.int64).max)) // DAY * DAY
        recent = self.event_time >= first_day - self.delay - HANDBOOK_WEEK_MS
        users = max(int(self.user.max(initial=-1)), int(rows.user.max(initial=-1))) + 1
        first = np.full(users, np.iinfo(np.int64).max)
        np.minimum.at(first, self.user[recent], self.event_time[recent])
        midnight = rows.event_time // DAY * DAY
        left: Bool = first[rows.user] >= midnight - self.delay
        return left
