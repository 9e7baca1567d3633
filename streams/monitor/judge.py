"""From what MONITOR's partitions report to alerts: hours are judged in order, each once all partitions that aren't idle have closed it."""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from features.definitions import DAY, HOUR
from models.monitoring.drift import Drift
from models.monitoring.reference import Reference
from models.monitoring.watch import WINDOW, Change, Seen, Subject, Watch, sentence
from streams.alerts.identity import alert_id
from streams.messages.events import Alert, DriftedColumn
from streams.monitor.tally import NOTHING, HourTally, Report

References = Callable[[str], Reference | None]
"""Gives a model digest's reference, None if there is none."""

_RETIRED_AFTER = 7 * DAY


class _Called(NamedTuple):
    """What goes with a subject."""

    kind: Literal["drift", "quality"]
    action: Literal["investigate", "freeze_training"]
    runbook: str


_CALLED: Mapping[Subject, _Called] = {
    "input": _Called("drift", "investigate", "docs/runbooks/drift.md"),
    "values": _Called("quality", "freeze_training", "docs/runbooks/quality.md"),
}


class Version(msgspec.Struct):
    """What is remembered of one model version; ``last`` is the newest hour (its first ms) with decisions of it."""

    version: str
    last: int = NOTHING
    seen: Seen = msgspec.field(default_factory=Seen)


class Judgements(msgspec.Struct):
    """All that is remembered: by topic id and partition the number of the newest report, up to where each partition has closed its hours
    and whether it is idle, up to where all is judged (ms), and the versions by digest."""

    reports: dict[str, int] = {}
    through: dict[int, int] = {}
    idle: dict[int, bool] = {}
    judged: int = NOTHING
    versions: dict[str, Version] = {}


class Judge:
    """Brings ``Judgements`` on by one report after the other. ``late`` counts decisions that came after their window was over,
    ``unwatched`` those of versions without a reference."""

    def __init__(self, references: References, known: Judgements | None = None) -> None:
        self.known = Judgements() if known is None else known
        self._references = references
        self._watches: dict[str, Watch] = {}
        self.late = self.unwatched = 0

    def apply(self, report: Report) -> list[Alert]:
        """The alerts that a report leads to; none if it was there before."""
        known = self.known
        place = f"{report.source}/{report.partition}"
        if report.number <= known.reports.get(place, NOTHING):
            return []
        known.reports[place] = report.number
        known.through[report.partition] = report.through
        known.idle[report.partition] = report.idle
        for of_hour in report.hours:
            self._add(of_hour)
        alerts = []
        for hour in self._due(report.partitions):
            alerts += [alert for digest in sorted(known.versions) for alert in self._judge(digest, hour)]
            known.judged = hour + HOUR
        return alerts

    def _add(self, of_hour: HourTally) -> None:
        if not of_hour.counts:
            self.unwatched += of_hour.rows
            return
        if of_hour.hour + WINDOW <= self.known.judged:
            self.late += of_hour.rows
            return
        version = self.known.versions.setdefault(of_hour.digest, Version(of_hour.version))
        version.last = max(version.last, of_hour.hour)
        watch = self._watch(of_hour.digest)
        if watch is not None:
            watch.add(of_hour.hour, np.frombuffer(of_hour.counts, np.int64))

    def _due(self, partitions: int) -> list[int]:
        """The hours (their first ms) with decisions that can be judged now, in order."""
        known = self.known
        if len(known.through) < partitions:
            return []
        busy = [through for number, through in known.through.items() if not known.idle[number]]
        frontier = min(busy) if busy else max(known.through.values())
        hours = {hour for version in known.versions.values() for hour in version.seen.hours}
        return sorted(hour for hour in hours if known.judged <= hour and hour + HOUR <= frontier)

    def _judge(self, digest: str, hour: int) -> list[Alert]:
        version, watch = self.known.versions[digest], self._watch(digest)
        if watch is None:
            return []
        changes = watch.judge(hour)
        if version.last < hour - _RETIRED_AFTER:
            changes += watch.retire(hour + HOUR)
            del self.known.versions[digest], self._watches[digest]
        return [_alert(digest, version.version, change, watch.reference) for change in changes]

    def _watch(self, digest: str) -> Watch | None:
        if digest not in self._watches:
            reference = self._references(digest)
            if reference is None:
                return None
            self._watches[digest] = Watch(reference, self.known.versions[digest].seen)
        return self._watches[digest]


def _alert(digest: str, version: str, change: Change, reference: Reference) -> Alert:
    called = _CALLED[change.subject]
    assert reference.in_control is not None  # without which nothing changes
    return Alert(
        alert_id=alert_id(called.kind, change.subject, digest),
        kind=called.kind,
        subject=change.subject,
        status=change.status,
        # What moves scores moves decisions.
        severity="critical" if change.score is not None and change.score.level == "much" else "warning",
        action=called.action,
        sentence=sentence(version, change),
        model_version=version,
        model_digest=digest,
        opened_at=change.open.opened_at,
        at=change.open.at,
        revision=change.open.revision,
        window=WINDOW,
        rows=change.rows,
        drifts=[_column(one) for one in change.drifts],
        score=None if change.score is None else _column(change.score),
        false_alarm_days=reference.in_control.run_length.mean,
        runbook=called.runbook,
    )


def _column(of: Drift) -> DriftedColumn:
    return DriftedColumn(*msgspec.structs.astuple(of))


encode = msgspec.msgpack.Encoder().encode
decode_judgements = msgspec.msgpack.Decoder(Judgements).decode
