"""How alerts stand, and who has taken note of them."""

import pytest

from features.errors import UserError
from streams.alerts.book import Acknowledged, AlertBook, acknowledged_in, acknowledgement, line, text
from streams.messages.events import Alert, DriftedColumn
from streams.messages.record import LogRecord

DAY = 86_400_000


def alert(name: str, opened: int, revision: int, status: str = "updated", columns: int = 1) -> Alert:
    return Alert(
        alert_id=name,
        kind="drift",
        subject="input",
        status=status,  # type: ignore[arg-type]
        severity="warning",
        action="investigate",
        sentence="inputs of version 3 have drifted",
        model_version="3",
        model_digest="d",
        opened_at=opened,
        at=opened + (revision - 1) * DAY,
        revision=revision,
        window=DAY,
        rows=1_234,
        drifts=[DriftedColumn(f"c{place}", 0.3, 0.2, 0.1, "much", 0.25, 0.01, 0.0) for place in range(columns)],
        false_alarm_days=121.3,
        runbook="docs/runbooks/drift.md",
    )


def note(name: str, opened: int, at: int = 5) -> Acknowledged:
    return Acknowledged(name, opened, "Ada", at, "new merchants")


def record(key: bytes, value: bytes | None) -> LogRecord:
    return LogRecord(0, 0, key, value, [])


def test_the_newest_record_says_how_one_stands_in_whatever_order_they_come() -> None:
    said = [alert("b", DAY, 1, "opened"), alert("a", 0, 1, "opened"), alert("a", 0, 3, "resolved"), alert("a", 0, 2), alert("a", 0, 2)]
    book = AlertBook.of(said, {})
    assert [(found.alert_id, found.revision) for found in book.newest(resolved=False)] == [("b", 1)]
    assert [(found.alert_id, found.revision) for found in book.newest(resolved=True)] == [("b", 1), ("a", 3)]
    assert [found.revision for found in book.history("a")] == [1, 2, 3]
    with pytest.raises(UserError, match="there is no alert c; `tidemark alerts list --all`"):
        book.history("c")


def test_one_that_comes_back_is_not_acknowledged_by_what_was_noted_before() -> None:
    first, again = alert("a", 0, 2, "resolved"), alert("a", 9 * DAY, 1, "opened")
    book = AlertBook.of([first, again], {"a": note("a", 0)})
    assert book.note_of(first) == note("a", 0)
    assert book.note_of(again) is None
    assert book.newest(resolved=False) == [again]


def test_notes_are_read_back_the_latest_of_each() -> None:
    records = [record(*acknowledgement(note("a", 0, at))) for at in (5, 9, 7)]
    others = [record(b"facts/1", b"{}"), record(b"acknowledged/b", None)]
    assert acknowledged_in([*records, *others]) == {"a": note("a", 0, 9)}


def test_lines_for_people() -> None:
    opened = alert("a", 0, 1, "opened")
    assert line(opened, note("a", 0)) == (
        "a  warning   since 1970-01-01  inputs of version 3 have drifted; investigate; acknowledged by Ada: new merchants"
    )
    assert "resolved 1970-01-02" in line(alert("a", 0, 2, "resolved"), None)
    shown = list(text([opened, alert("a", 0, 2, columns=14), alert("a", 0, 3, "resolved", columns=0)], None))
    assert shown[1] == "  see docs/runbooks/drift.md; by chance alone one like it is opened once in 121 days"
    assert "  1970-01-02 updated: 14 columns over 1,234 decisions" in shown
    assert "  c0: PSI 0.300, JS 0.200, KS 0.100, missing 25.0% (was 1.0%), unknown 0.0%" in shown
    assert shown[-1] == "  and 2 more"
