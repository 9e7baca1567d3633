"""In which order hours are judged, and what becomes of those that come late or of versions that decide no more."""

import msgspec
import numpy as np
import pytest

from features.definitions import DAY, HOUR
from models.monitoring.layout import Layout
from models.monitoring.reference import SCORE, Reference
from streams.alerts.identity import alert_id
from streams.messages.events import Alert
from streams.monitor.judge import Judge, Judgements, decode_judgements, encode
from streams.monitor.tally import HourTally, Report
from tests.made.scoring_logs import FEATURES, MONDAY, Rows, reference_of, rows

DAYS = 35


@pytest.fixture(scope="module")
def made() -> Reference:
    return reference_of(rows(0, DAYS, 400, 1))


def tallies(of: Rows, made: Reference, digest: str = "d") -> list[HourTally]:
    columns = {**dict(zip(FEATURES.names, of.vectors.T, strict=True)), SCORE: of.scores}
    hours, group = np.unique(of.time // HOUR * HOUR, return_inverse=True)
    counts = Layout.of(made).count(columns, group, len(hours))
    found = np.bincount(group)
    return [HourTally(digest, "7", hour, int(found[place]), counts[place].tobytes()) for place, hour in enumerate(hours.tolist())]


def reports(hours: list[HourTally], partition: int = 0, partitions: int = 1) -> list[Report]:
    return [Report("id", number, partition, partitions, of_hour.hour + HOUR, False, [of_hour]) for number, of_hour in enumerate(hours, 1)]


def drifting(made: Reference) -> list[HourTally]:
    return [*tallies(rows(DAYS, 3, 400, 2), made), *tallies(rows(DAYS + 3, 3, 400, 3, 1.0), made)]


def told(judge: Judge, given: list[Report]) -> list[Alert]:
    return [alert for report in given for alert in judge.apply(report)]


def test_no_hour_is_judged_before_each_busy_partition_has_closed_it(made: Reference) -> None:
    hours = drifting(made)
    alone = told(Judge(lambda _: made), reports(hours))
    assert alone
    judge = Judge(lambda _: made)
    # The other partition has not been heard of yet; then it is, and stands still.
    assert told(judge, reports(hours, 0, 2)) == []
    assert told(judge, [Report("id", 1, 1, 2, MONDAY, False, [])]) == []
    # Once nothing more comes of it, all is judged in order.
    assert told(judge, [Report("id", 2, 1, 2, MONDAY, True, [])]) == alone


def test_halves_of_an_hour_from_two_partitions_are_judged_together(made: Reference) -> None:
    first, second = (drifting(made)[begin::2] for begin in (0, 1))
    judge = Judge(lambda _: made)
    given = sorted([*reports(first, 0, 2), *reports(second, 1, 2)], key=lambda report: (report.hours[0].hour, report.partition))
    found = told(judge, [*given, *(Report("id", 10**6, partition, 2, given[-1].through, True, []) for partition in (0, 1))])
    assert found == told(Judge(lambda _: made), reports(drifting(made)))


def test_it_goes_on_from_what_it_remembers(made: Reference) -> None:
    given = reports(drifting(made))
    expected = told(Judge(lambda _: made), given)
    found, known = [], Judgements()
    for report in given:
        judge = Judge(lambda _: made, decode_judgements(encode(known)))
        found += judge.apply(report)
        known = judge.known
    assert found == expected


def test_what_comes_after_its_window_is_over_is_counted_as_late(made: Reference) -> None:
    judge, hours = Judge(lambda _: made), tallies(rows(DAYS, 4, 400, 2), made)
    told(judge, reports(hours))
    # Still in the window of the last hour that was judged, and beyond it.
    judge.apply(Report("id", 10**6, 0, 1, hours[-1].hour + HOUR, False, [hours[-20], hours[0]]))
    assert judge.late == hours[0].rows


def test_a_version_without_a_reference_is_not_watched(made: Reference) -> None:
    judge = Judge(lambda _: None)
    hours = drifting(made)
    assert told(judge, reports([HourTally("d", "7", of_hour.hour, of_hour.rows, b"") for of_hour in hours])) == []
    assert judge.unwatched == sum(of_hour.rows for of_hour in hours)


def test_an_alert_about_a_version_that_decides_no_more_is_over_after_a_week(made: Reference) -> None:
    judge = Judge(lambda _: made)
    opened = told(judge, reports(drifting(made)))
    assert {alert.status for alert in opened} == {"opened", "updated"}
    last = rows(DAYS + 6, 9, 400, 4)
    later = [msgspec.structs.replace(report, number=report.number + 10**6) for report in reports(tallies(last, made, "successor"))]
    found = told(judge, later)
    assert [(alert.model_digest, alert.status) for alert in found] == [("d", "resolved")]
    assert found[0].at > MONDAY + (DAYS + 6 + 7) * DAY - HOUR
    assert found[0].sentence == "version 7 decides no more"
    assert set(judge.known.versions) == {"successor"}


def test_a_report_that_is_sent_again_counts_once(made: Reference) -> None:
    given = reports(drifting(made))
    judge = Judge(lambda _: made)
    found = told(judge, [repeated for report in given for repeated in (report, given[0], report)])
    assert found == told(Judge(lambda _: made), given)
    assert judge.late == 0
    # Of a topic that was created again numbers begin anew.
    other = msgspec.structs.replace(given[-1], source="other", number=1)
    assert judge.apply(other) == judge.apply(other) == []
    assert judge.known.reports == {"id/0": len(given), "other/0": 1}


def test_the_same_cause_has_the_same_id(made: Reference) -> None:
    alerts = told(Judge(lambda _: made), reports(drifting(made)))
    assert {alert.alert_id for alert in alerts} == {alert_id("drift", "input", "d")}
    assert len({alert_id(kind, subject, digest) for kind in "ab" for subject in ("input", "score") for digest in "de"}) == 8
