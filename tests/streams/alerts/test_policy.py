"""What is due by a policy: once for each alert, not too often, and not on data that are not to be trusted."""

import pytest

from features.errors import UserError
from streams.alerts.book import AlertBook
from streams.alerts.policy import Policy, Retrain, due, is_news, policy_in
from streams.messages.events import Alert, AlertAction

HOUR = 3_600_000
DEFAULT = Policy()


def alert(name: str, opened: int, subject: str = "missed_fraud", action: str = "retrain", status: str = "opened") -> Alert:
    return Alert(
        alert_id=name,
        kind="performance",
        subject=subject,  # type: ignore[arg-type]
        status=status,  # type: ignore[arg-type]
        severity="critical",
        action=action,  # type: ignore[arg-type]
        sentence=f"{name} is wrong",
        model_version="3",
        model_digest="d",
        opened_at=opened,
        at=opened,
        revision=1,
        window=1,
        rows=1,
        drifts=[],
        false_alarm_days=120.0,
        runbook="docs/runbooks/performance.md",
    )


def taken(name: str, opened: int, status: str, at: int, sentence: str = "") -> AlertAction:
    return AlertAction(alert_id=name, opened_at=opened, action="retrain", status=status, at=at, sentence=sentence)  # type: ignore[arg-type]


def wanted(alerts: list[Alert], actions: list[AlertAction], now: int = 0, policy: Policy = DEFAULT) -> list[tuple[str, str | None]]:
    return [(one.alert.alert_id, one.put_off) for one in due(AlertBook.of(alerts, {}), actions, policy, now)]


def test_an_alert_is_acted_on_once_for_each_time_it_is_opened() -> None:
    opened, again = alert("a", 1), alert("a", 9)
    assert wanted([opened], []) == [("a", None)]
    assert wanted([opened], [taken("a", 1, "begun", 0)]) == [("a", None)]
    assert wanted([opened], [taken("a", 1, "failed", 0)]) == [("a", None)]
    assert wanted([opened], [taken("a", 1, "done", 0)]) == []
    assert wanted([opened, again], [taken("a", 1, "done", 0)], 25 * HOUR) == [("a", None)]
    assert wanted([alert("a", 1, status="resolved")], []) == []


def test_not_for_every_alert() -> None:
    drift = alert("d", 1, "input", "investigate")
    assert wanted([drift], []) == []
    assert wanted([drift], [], policy=Policy(Retrain(subjects=("input",)))) == [("d", None)]


def test_not_too_often_and_one_at_a_time() -> None:
    alerts, done = [alert("b", 2), alert("a", 1)], [taken("z", 0, "done", 10 * HOUR)]
    assert wanted(alerts, []) == [("a", None), ("b", "one at a time")]
    put_off = "it was done for alert z less than 24 hours ago"
    assert wanted(alerts, done, 33 * HOUR) == [("a", put_off), ("b", put_off)]
    assert wanted(alerts, done, 34 * HOUR) == [("a", None), ("b", "one at a time")]
    assert wanted(alerts, done, 12 * HOUR, Policy(Retrain(hours=2))) == [("a", None), ("b", "one at a time")]


def test_nothing_is_trained_on_broken_data() -> None:
    broken = alert("q", 3, "values", "freeze_training")
    assert wanted([alert("a", 1), broken], []) == [("a", "training is frozen, for alert q is open: q is wrong")]
    assert wanted([alert("a", 1), alert("q", 3, "values", "freeze_training", "resolved")], []) == [("a", None)]


def test_the_same_reason_is_noted_once() -> None:
    first = taken("a", 1, "put_off", 0, "frozen")
    assert is_news(first, [])
    assert not is_news(taken("a", 1, "put_off", 9, "frozen"), [first])
    assert is_news(taken("a", 1, "put_off", 9, "one at a time"), [first])
    assert is_news(taken("a", 2, "put_off", 9, "frozen"), [first])


def test_a_policy_file() -> None:
    text = '[retrain]\nsubjects = ["missed_fraud", "score"]\nhours = 6\narguments = ["--search", "90"]\n'
    assert policy_in(text, "alerts.toml") == Policy(Retrain(("missed_fraud", "score"), 6.0, ("--search", "90")))
    assert policy_in("", "alerts.toml") == Policy()
    for wrong in ("[retrain", "[retrain]\nhour = 6", '[retrain]\nhours = "six"', "[roll_back]"):
        with pytest.raises(UserError, match=r"alerts\.toml is no policy"):
            policy_in(wrong, "alerts.toml")
