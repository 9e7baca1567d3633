"""Prequential folds: always fitted on what was known before, tried on what came next (Dawid, 1984; Dal Pozzolo et al., 2015, for the gap
that the labels' delay makes). Never random folds: those let a model know its customers' and merchants' future.

A week is tried as it would have been in service: when it begins, the youngest label known is as old as the delay.

    fitting            gap      tried                     gap
    [──── history ────)[ delay )[  week  )                [ delay )│ as of
              [──── history ────)[ delay )[  week  )      [ delay )│
"""

from dataclasses import dataclass

import numpy as np

from features.arrays import Bool, Int64
from features.definitions import DAY
from models.evaluation.metrics import has_both_classes

WEEK = 7 * DAY
_LEAST_HISTORY = 6 * DAY


@dataclass(frozen=True, slots=True)
class Fold:
    """Fit on event times before ``fit_end``, try on those from ``begin`` (inclusive) to ``end`` (exclusive); all in ms."""

    fit_end: int
    begin: int
    end: int

    def tried(self, event_time: Int64) -> Int64:
        """The rows to try a model on."""
        return rows_between(event_time, self.begin, self.end)

    def known(self, event_time: Int64, history: int) -> Int64:
        """The rows to fit a model on: those of the ``history`` (ms) before ``fit_end``."""
        return rows_between(event_time, self.fit_end - history, self.fit_end)

    def has_both_classes(self, event_time: Int64, is_fraud: Bool, history: int) -> bool:
        """Whether there are frauds and others to try on, and to learn from in the ``history`` (ms)."""
        return all(has_both_classes(is_fraud[rows]) for rows in (self.known(event_time, history), self.tried(event_time)))


def rows_between(event_time: Int64, begin: int, end: int) -> Int64:
    """The numbers of the rows (one entry a row, ms) from ``begin`` (inclusive) to ``end`` (exclusive), in the order given."""
    return np.flatnonzero((event_time >= begin) & (event_time < end))


def known_until(as_of: int, labels_after: int) -> int:
    """The event time (ms, exclusive) up to which every label is known as of ``as_of``, if labels come ``labels_after`` ms later."""
    return as_of - labels_after


def span_known(event_time: Int64, labels_after: int) -> tuple[int, int]:
    """Of rows whose labels are all known, the first event time and as of when they were, ``labels_after`` the last; both ms, equal without
    rows."""
    as_of = int(event_time.max(initial=0)) + 1 + labels_after
    return int(event_time.min(initial=as_of)), as_of


def folds(first: int, as_of: int, labels_after: int, *, most: int) -> tuple[Fold, ...]:
    """At most ``most`` folds of a week, oldest first, the newest of which ends with the last label known ``as_of``.

    ``first`` is the first event time; a fold for whose fitting fewer than six days are left isn't made. All in ms. There may be none.
    """
    found = []
    end = known_until(as_of, labels_after)
    for _ in range(most):
        begin = end - WEEK
        fit_end = known_until(begin, labels_after)
        if fit_end - first < _LEAST_HISTORY:
            break
        found.append(Fold(fit_end, begin, end))
        end = begin
    return tuple(reversed(found))
