"""From what a look at the archive finds of each version to alerts: what has changed since the last look."""

from collections.abc import Sequence
from dataclasses import dataclass

from features.definitions import DAY
from features.errors import counted
from models.monitoring.arrivals import LIMIT, Arrivals, Day
from streams.alerts.book import AlertBook
from streams.alerts.identity import alert_id
from streams.messages.events import Alert, ArrivedLabels

_DAYS_SHOWN = 14
_RUNBOOK = "docs/runbooks/performance.md"


@dataclass(frozen=True)
class Finding:
    """Of a version, named by number and digest, what has arrived, and how many ``rows`` were looked at."""

    version: str
    digest: str
    arrivals: Arrivals
    rows: int


def changes(findings: Sequence[Finding], book: AlertBook) -> list[Alert]:
    """The alerts' records that these findings lead to. One of an earlier day than an alert speaks of changes nothing."""
    found = []
    for finding in findings:
        name = alert_id("performance", "missed_fraud", finding.digest)
        known = book.alerts[name][-1] if name in book.alerts else None
        change = _change(finding, name, known)
        found += [] if change is None else [change]
    return found


def _change(finding: Finding, name: str, known: Alert | None) -> Alert | None:
    at = finding.arrivals.newest.day + DAY
    bad, is_open = finding.arrivals.alarm_since is not None, known is not None and known.status != "resolved"
    if known is not None and at <= known.at:
        return None
    if not bad and not is_open:
        return None
    opened = known.opened_at if known is not None and is_open else at
    newest = finding.arrivals.days[-_DAYS_SHOWN:]
    return Alert(
        alert_id=name,
        kind="performance",
        subject="missed_fraud",
        status=("updated" if is_open else "opened") if bad else "resolved",
        severity="critical",
        action="retrain",
        sentence=_sentence(finding.version, newest, bad),
        model_version=finding.version,
        model_digest=finding.digest,
        opened_at=opened,
        at=at,
        revision=known.revision + 1 if known is not None and is_open else 1,
        window=len(newest) * DAY,
        rows=finding.rows,
        drifts=[],
        false_alarm_days=LIMIT,
        runbook=_RUNBOOK,
        labels=[ArrivedLabels(day.day, day.expected, day.observed, day.evidence) for day in newest],
    )


def _sentence(version: str, days: Sequence[Day], bad: bool) -> str:
    if not bad:
        return f"as many frauds as expected come to light of what version {version} let through"
    expected, observed = sum(day.expected for day in days), sum(day.observed for day in days)
    return (
        f"of what version {version} let through {observed:,} frauds came to light in {counted(len(days), 'day')}, where its scores say "
        f"{expected:,.1f}"
    )
