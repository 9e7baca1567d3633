"""How alerts stand: the newest record of each, who has taken note of it, and all that was said of one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from features.errors import UserError
from features.history.moments import moment
from streams.messages.events import Alert
from streams.messages.record import LogRecord

_ACKNOWLEDGED = "acknowledged/"
_MOST_COLUMNS = 12


class Acknowledged(msgspec.Struct, frozen=True):
    """That somebody has taken note of an alert, as it was opened at ``opened_at`` (ms): ``by`` whom, when (wall clock, ms) and why."""

    alert_id: str
    opened_at: int
    by: str
    at: int
    reason: str


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Acknowledged).decode


def acknowledgement(of: Acknowledged) -> tuple[bytes, bytes]:
    """Key and value of its record on ``deployment``."""
    return f"{_ACKNOWLEDGED}{of.alert_id}".encode(), _encode(of)


def acknowledged_in(facts: Iterable[LogRecord]) -> dict[str, Acknowledged]:
    """By alert, what the deployment has on record; of several the latest, wherever it stands."""
    found: dict[str, Acknowledged] = {}
    for record in facts:
        if (record.key or b"").startswith(_ACKNOWLEDGED.encode()) and record.value is not None:
            read = _decode(record.value)
            if read.alert_id not in found or found[read.alert_id].at <= read.at:
                found[read.alert_id] = read
    return found


@dataclass(frozen=True)
class AlertBook:
    """All alerts' records by id, oldest first, and who has taken note of which."""

    alerts: Mapping[str, Sequence[Alert]]
    acknowledged: Mapping[str, Acknowledged]

    @classmethod
    def of(cls, alerts: Iterable[Alert], acknowledged: Mapping[str, Acknowledged]) -> "AlertBook":
        """Of records in any order; one that is there twice counts once."""
        by_id: dict[str, dict[tuple[int, int], Alert]] = {}
        for alert in alerts:
            by_id.setdefault(alert.alert_id, {})[alert.opened_at, alert.revision] = alert
        return cls({name: [of_one[key] for key in sorted(of_one)] for name, of_one in by_id.items()}, acknowledged)

    def newest(self, *, resolved: bool) -> list[Alert]:
        """How each stands, what was opened last first; those that are over only if ``resolved``."""
        found = [records[-1] for records in self.alerts.values()]
        return sorted(
            (alert for alert in found if resolved or alert.status != "resolved"), key=lambda alert: (-alert.opened_at, alert.alert_id)
        )

    def history(self, alert_id: str) -> Sequence[Alert]:
        """All that was said of one. Raises UserError if there is none of this id."""
        if alert_id not in self.alerts:
            raise UserError(f"there is no alert {alert_id}; `tidemark alerts list --all` names those there are")
        return self.alerts[alert_id]

    def note_of(self, alert: Alert) -> Acknowledged | None:
        """Who has taken note of it since it was opened."""
        note = self.acknowledged.get(alert.alert_id)
        return note if note is not None and note.opened_at == alert.opened_at else None


def line(alert: Alert, note: Acknowledged | None) -> str:
    """An alert for people, in a line."""
    over = f"resolved {moment(alert.at)}" if alert.status == "resolved" else f"since {moment(alert.opened_at)}"
    seen = "" if note is None else f"; acknowledged by {note.by}: {note.reason}"
    return f"{alert.alert_id}  {alert.severity:<8}  {over}  {alert.sentence}; {alert.action.replace('_', ' ')}{seen}"


def text(history: Sequence[Alert], note: Acknowledged | None) -> Iterator[str]:
    """All that was said of an alert since it was opened last, for people, line by line."""
    newest = history[-1]
    yield line(newest, note)
    yield f"  see {newest.runbook}; by chance alone one like it is opened once in {newest.false_alarm_days:.0f} days"
    for alert in history:
        if alert.opened_at == newest.opened_at:
            about = f"{len(alert.drifts)} columns over" if alert.drifts else "over"
            yield f"  {moment(alert.at)} {alert.status}: {about} {alert.rows:,} decisions"
    for day in newest.labels:
        yield f"  {moment(day.day)}: {day.observed:,} came to light, {day.expected:,.1f} expected; evidence {day.evidence:,.1f}"
    told = next((alert for alert in reversed(history) if alert.drifts and alert.opened_at == newest.opened_at), newest)
    for drift in [*told.drifts[:_MOST_COLUMNS], *([] if told.score is None else [told.score])]:
        yield (
            f"  {drift.name}: PSI {drift.psi:.3f}, JS {drift.js:.3f}, KS {drift.ks:.3f}, "
            f"missing {drift.missing:.1%} (was {drift.missing_then:.1%}), unknown {drift.unseen:.1%}"
        )
    if len(told.drifts) > _MOST_COLUMNS:
        yield f"  and {len(told.drifts) - _MOST_COLUMNS} more"
