"""What transactions are worth whose labels may still come, or whose outcome was seen by a chance that is known.

A row's weight is how many transactions it stands for: when a model is fitted, calibrated and judged, and when thresholds are chosen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np

from features.arrays import Bool, Float64, Int64
from features.errors import UserError

Immature = Literal["left-out", "weighted"]
"""What becomes of transactions that are younger than labels take."""

IMMATURE: tuple[Immature, ...] = get_args(Immature)

FEWEST = 20
"""So many frauds of a source show how long its labels take; with fewer they are assumed to take as long as those of all sources."""


def share_known(delays: Int64, age: Int64) -> Float64:
    """Of frauds whose labels took ``delays`` (ms, at least one), the share (0–1) that is known at each ``age`` (ms)."""
    return np.asarray(np.searchsorted(np.sort(delays), age, side="right") / len(delays), np.float64)


@dataclass(frozen=True)
class DelaysBySource:
    """How long the labels took (ms, ascending) that said first of a fraud that it was one, by their source."""

    by_source: Mapping[str, Int64]

    @classmethod
    def of(cls, sources: Sequence[str], delays: Int64) -> Self:
        """From each fraud's source and delay, in any order."""
        names, of_fraud = np.unique(np.array(sources, np.str_), return_inverse=True)
        return cls({str(name): np.sort(delays[of_fraud == place]) for place, name in enumerate(names)})

    @property
    def frauds(self) -> int:
        """How many were learnt from."""
        return sum(map(len, self.by_source.values()))

    def of_source(self, source: str) -> Int64:
        """The delays that stand for those of this source: its own, or everyone's if they are fewer than ``FEWEST``."""
        own = self.by_source[source]
        return own if len(own) >= FEWEST else np.concatenate(list(self.by_source.values()))

    def share_known(self, age: Int64) -> Float64:
        """Of the frauds of each ``age`` (ms), the share (0–1) that has a label by now; 0 as long as there are none to learn from.

        Nothing shows by which source a fraud will be reported, so each source's share known is weighted by its part of all frauds. That
        assumes young frauds to be reported by the same sources, as soon, as matured ones were.
        """
        known = np.zeros(len(age))
        for source, own in self.by_source.items():
            known += len(own) / self.frauds * share_known(self.of_source(source), age)
        return np.minimum(known, 1.0)


def immature_weights(age: Int64, labelled: Bool, delays: Int64) -> Float64:
    """The weight (0–1) of each immature row: 1 with a label, else the share of frauds that would be known at its ``age`` (ms).

    Of frauds at that age just this share has a label, so frauds and others are again as frequent among the weighted rows as among mature
    ones, but for those yet to be reported (inverse propensity weighting, scaled to at most 1; the propensity of a label as in Bekker and
    others, 2019, "Beyond the Selected Completely At Random Assumption"). ``delays`` (ms) are those of matured frauds. Raises UserError
    if there are none.
    """
    require_delays(delays)
    return np.where(labelled, 1.0, share_known(delays, age))


def require_delays(delays: Int64) -> None:
    """Raises UserError if there are none, for then nothing shows what immature rows are worth."""
    if not len(delays):
        raise UserError(
            "--immature weighted needs matured frauds to learn from how late labels come, and there are none; leave it out, or give an "
            "earlier --from"
        )


def inverse_propensity(propensity: Float64) -> Float64:
    """What a row stands for that was let through with this probability: 1 / ``propensity`` (Horvitz and Thompson, 1952); NaN counts as 1.

    Raises UserError unless all lie above 0 and up to 1.
    """
    known = np.where(np.isnan(propensity), 1.0, propensity)
    wrong = ~((known > 0) & (known <= 1))
    if wrong.any():
        raise UserError(
            f"{int(wrong.sum()):,} propensities are no probabilities above 0 and up to 1, the first {known[wrong][0]:g}; fix the column "
            "that --propensity names"
        )
    return 1.0 / known
