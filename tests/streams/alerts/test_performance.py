"""From what a look at the archive finds to alerts: each change once, whoever looks and how often."""

from models.monitoring.arrivals import LIMIT, Arrivals, Day
from streams.alerts.book import AlertBook
from streams.alerts.performance import Finding, changes
from streams.messages.events import Alert

DAY = 86_400_000


def finding(days: int, *evidence: float, digest: str = "d") -> Finding:
    """A look after so many days, the last of which had this evidence."""
    values = [0.5] * (days - len(evidence)) + list(evidence)
    return Finding("3", digest, Arrivals([Day(day * DAY, 2.0, 5, value) for day, value in enumerate(values)], 1.0), 1_000)


def looked(said: list[Alert], *findings: Finding) -> list[Alert]:
    return changes(findings, AlertBook.of(said, {}))


def test_each_change_is_said_once() -> None:
    said: list[Alert] = []
    looks = [
        (finding(20), []),
        (finding(21, LIMIT), [("opened", 1, 21)]),
        (finding(21, LIMIT), []),
        (finding(22, LIMIT, 3.0), [("updated", 2, 21)]),
        (finding(20), []),
        (finding(23, LIMIT, 3.0, 0.1), [("resolved", 3, 21)]),
        (finding(24, LIMIT, 3.0, 0.1, 0.1), []),
        (finding(25, LIMIT), [("opened", 1, 25)]),
    ]
    for number, (look, expected) in enumerate(looks):
        found = looked(said, look)
        assert [(alert.status, alert.revision, alert.opened_at // DAY) for alert in found] == expected, number
        said += found
    assert len({alert.alert_id for alert in said}) == 1


def test_it_says_what_it_rests_on() -> None:
    (alert,) = looked([], finding(30, LIMIT))
    assert (alert.kind, alert.subject, alert.action, alert.severity) == ("performance", "missed_fraud", "retrain", "critical")
    assert alert.sentence == "of what version 3 let through 70 frauds came to light in 14 days, where its scores say 28.0"
    assert [(day.expected, day.observed) for day in alert.labels] == [(2.0, 5)] * 14
    assert (alert.labels[-1].evidence, alert.at, alert.rows, alert.false_alarm_days) == (LIMIT, 30 * DAY, 1_000, LIMIT)


def test_versions_have_alerts_of_their_own() -> None:
    found = looked([], finding(20, LIMIT), finding(20, digest="e"), finding(20, LIMIT, digest="f"))
    assert [alert.model_digest for alert in found] == ["d", "f"]
    assert found[0].alert_id != found[1].alert_id
