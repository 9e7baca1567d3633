"""Watches one model version's input, hour by hour, and says when it has drifted too far for chance.

The last 24 hours are compared with the reference after each, so that night and day are no drift. What is further off than usual adds up
(``in_control``); one limit holds for all columns together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from features.arrays import Int64
from features.definitions import DAY, HOUR
from models.monitoring.drift import Drift, drift
from models.monitoring.in_control import InControl, step
from models.monitoring.layout import Layout
from models.monitoring.reference import SCORE, Reference, weekday_of

Subject = Literal["input", "values"]
Status = Literal["opened", "updated", "resolved"]

WINDOW = DAY
# A night without payments is none of the day's hours too few; half a day is.
_FEWEST_HOURS = 20
_FEWEST_ROWS = 200
_REPEATED_AFTER = DAY
# Of the limit: below it an alert is over, so that one isn't opened and resolved by turns.
_OVER = 0.5


class Open(msgspec.Struct, frozen=True):
    """An alert that isn't over: when it was opened and last spoken of (ms), how often, and which columns it names."""

    opened_at: int
    at: int
    revision: int
    columns: list[str]


class Change(NamedTuple):
    """What is to be said of a subject: what ``drifts`` now, the furthest first, over a window of so many ``rows``; and how far the
    ``score`` is by then, if the reference has it."""

    subject: Subject
    status: Status
    open: Open
    drifts: list[Drift]
    rows: int
    score: Drift | None = None


class Seen(msgspec.Struct):
    """All that is remembered: the counts of each hour (its first ms; int64, by bin, as bytes), each column's sum, and open alerts."""

    hours: dict[int, bytes] = {}
    sums: dict[str, float] = {}
    open: dict[Subject, Open] = {}


@dataclass
class Watch:
    """Of one model version. ``add`` what its decisions had in the reference's bins, then ``judge`` each hour once, in order."""

    reference: Reference
    seen: Seen = field(default_factory=Seen)
    layout: Layout = field(init=False)

    def __post_init__(self) -> None:
        self.layout = Layout.of(self.reference)

    def add(self, hour: int, counts: Int64) -> None:
        """Adds counts (by bin) of decisions in the hour that begins there (ms); it may have some already."""
        known = self.seen.hours.get(hour)
        whole = counts if known is None else np.frombuffer(known, np.int64) + counts
        self.seen.hours[hour] = whole.astype(np.int64).tobytes()

    def judge(self, hour: int) -> list[Change]:
        """What has changed at the end of the hour that begins there (ms), from which on what came before its window is forgotten."""
        end = hour + HOUR
        for old in [known for known in self.seen.hours if known < end - WINDOW]:
            del self.seen.hours[old]
        control, hours = self.reference.in_control, sorted(known for known in self.seen.hours if known < end)
        if control is None or hour not in self.seen.hours or len(hours) < _FEWEST_HOURS:
            return []
        by_hour = np.array([np.frombuffer(self.seen.hours[known], np.int64) for known in hours])
        rows = by_hour[:, self.layout.begins[0] : self.layout.begins[1]].sum(axis=1)
        if rows.sum() < _FEWEST_ROWS:
            return []
        days = np.zeros(7, np.int64)
        np.add.at(days, weekday_of(np.array(hours)), rows)
        counts = by_hour.sum(axis=0)
        self._step(control, counts, days)
        return self._changes(control, counts, days, end)

    def retire(self, at: int) -> list[Change]:
        """The version decides no more: what is open is over."""
        open_, self.seen.open = self.seen.open, {}
        self.seen.sums = {}
        return [Change(subject, "resolved", _spoken(one, at, one.columns), [], 0) for subject, one in sorted(open_.items())]

    def _step(self, control: InControl, counts: Int64, days: Int64) -> None:
        names = [name for name, usual in control.columns.items() if usual.watched]
        places = [self.layout.names.index(name) for name in names]
        excess = control.excess(names, self.layout.distances(counts, days)[places], float(days.sum()))
        sums = np.array([self.seen.sums.get(name, 0.0) for name in names])
        self.seen.sums = dict(zip(names, step(sums, excess, HOUR / DAY, control.limit).tolist(), strict=True))

    def _changes(self, control: InControl, counts: Int64, days: Int64, end: int) -> list[Change]:
        found = []
        score = self._drift(SCORE, counts, days) if SCORE in self.layout.names else None
        drifts = {name: self._drift(name, counts, days) for name, total in self.seen.sums.items() if total > _OVER * control.limit}
        for subject, columns in self._by_subject(control, drifts).items():
            known = self.seen.open.get(subject)
            status = _status(known, columns, end)
            if status is None:
                if known is not None:
                    self.seen.open[subject] = msgspec.structs.replace(known, columns=columns)
                continue
            spoken = _spoken(known or Open(end, end, 0, []), end, columns)
            if status == "resolved":
                del self.seen.open[subject]
            else:
                self.seen.open[subject] = spoken
            named = sorted((drifts[name] for name in columns), key=lambda one: (-self.seen.sums[one.name], one.name))
            found.append(Change(subject, status, spoken, named, int(days.sum()), score))
        return found

    def _by_subject(self, control: InControl, drifts: Mapping[str, Drift]) -> dict[Subject, list[str]]:
        """The columns of each subject's alert: those beyond the limit, and those that it names already and aren't back yet."""
        found: dict[Subject, list[str]] = {"input": [], "values": []}
        named = {name: subject for subject, one in self.seen.open.items() for name in one.columns}
        for name in drifts:
            if name in named:
                found[named[name]].append(name)
            elif self.seen.sums[name] >= control.limit:
                found[_subject(drifts[name])].append(name)
        return found

    def _drift(self, name: str, counts: Int64, days: Int64) -> Drift:
        return drift(name, self.layout.histograms[self.layout.names.index(name)], self.layout.part(counts, name), days)


def _status(known: Open | None, columns: Sequence[str], end: int) -> Status | None:
    """What is to be said of an alert that now has these columns; None: nothing."""
    if known is None:
        return "opened" if columns else None
    if not columns:
        return "resolved"
    return "updated" if set(columns) - set(known.columns) or end >= known.at + _REPEATED_AFTER else None


def _spoken(one: Open, at: int, columns: list[str]) -> Open:
    return Open(one.opened_at, at, one.revision + 1, columns)


def _subject(of: Drift) -> Subject:
    return "values" if max(of.missing - of.missing_then, of.unseen) > of.ks / 2 else "input"


def sentence(version: str, change: Change, most: int = 3) -> str:
    """What a change means, in words; ``most`` columns are named."""
    names = [one.name for one in change.drifts]
    shown = ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
    if change.status == "resolved":
        return f"{_WHAT[change.subject]} of version {version} are as usual again" if change.rows else f"version {version} decides no more"
    return f"{_WHAT[change.subject]} of version {version} have drifted from what it was made of: {shown}"


_WHAT: Mapping[Subject, str] = {"input": "inputs", "values": "missing or unknown values among the inputs"}
