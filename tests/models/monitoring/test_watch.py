"""What an hourly watch says of a world that stays as it was, of one that changes, and of one that comes back."""

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from features.definitions import DAY, HOUR
from models.monitoring.layout import Layout
from models.monitoring.reference import Reference, reference
from models.monitoring.watch import Change, Seen, Watch, sentence

MONDAY = 4 * DAY  # 1970-01-05
NAMES = ("amount", "hour", "ratio", "age")
DAYS = 42


def world(day: int, days: int, seed: int, rows: int = 600, shift: float = 0.0, missing: float = 0.1) -> tuple[np.ndarray, ...]:
    """Vectors, scores and times of payments that are made more by day than by night, of users who grow older."""
    rng = np.random.default_rng(seed)
    at = np.sort(rng.integers(day, day + days, rows * days)) * DAY + (rng.beta(3, 2, rows * days) * DAY).astype(np.int64)
    time = MONDAY + np.sort(at)
    hour = time // HOUR % 24
    amount = rng.lognormal(3 + shift, 1, len(time)) * (1 + hour / 24)
    ratio = np.where(rng.random(len(time)) < missing, np.nan, rng.random(len(time)))
    vectors = np.column_stack([amount, hour, ratio, time / DAY]).astype(np.float32)
    return vectors, np.clip(rng.beta(1, 30, len(time)) * np.exp(shift), 0, 1), time


@pytest.fixture(scope="module")
def made() -> Reference:
    vectors, scores, time = world(0, DAYS, 1)
    return reference(NAMES, vectors, time, scores, time)


def hourly(layout: Layout, rows: tuple[np.ndarray, ...]) -> Iterator[tuple[int, np.ndarray]]:
    """The hours with rows, and what these have in each bin."""
    vectors, scores, time = rows
    columns = {**dict(zip(NAMES, vectors.T, strict=True)), "score": scores}
    hours, group = np.unique(time // HOUR * HOUR, return_inverse=True)
    yield from zip(hours.tolist(), layout.count(columns, group, len(hours)), strict=True)


def changes(watch: Watch, *rows: tuple[np.ndarray, ...]) -> list[Change]:
    found = []
    for hour, counts in (of_hour for part in rows for of_hour in hourly(watch.layout, part)):
        watch.add(hour, counts)
        found += watch.judge(hour)
    return found


def test_the_layout_counts_as_the_histograms_do(made: Reference) -> None:
    vectors, scores, time = world(50, 2, 5)
    layout = Layout.of(made)
    counts = layout.count({**dict(zip(NAMES, vectors.T, strict=True)), "score": scores}, (time // DAY) % 2, 2).sum(axis=0)
    for place, name in enumerate(NAMES):
        assert layout.part(counts, name).tolist() == made.features[name].count(vectors[:, place]).tolist()
    assert layout.bins == len(counts)


def test_what_stays_as_it_was_is_no_drift(made: Reference) -> None:
    assert changes(Watch(made), world(DAYS, 60, 2)) == []


def test_a_change_is_said_once_and_its_end_too(made: Reference) -> None:
    watch = Watch(made)
    assert changes(watch, world(DAYS, 7, 3)) == []
    began = MONDAY + (DAYS + 7) * DAY
    during = changes(watch, world(DAYS + 7, 4, 4, shift=0.8))
    by_subject = {subject: [change for change in during if change.subject == subject] for subject in ("input", "values")}
    assert by_subject["values"] == []
    first, *later = by_subject["input"]
    assert (first.status, first.open.revision, [one.name for one in first.drifts]) == ("opened", 1, ["amount"])
    assert began < first.open.opened_at <= began + 2 * DAY
    assert first.score is not None
    assert first.score.psi > 0.1
    assert {change.status for change in later} == {"updated"}
    assert [change.open.revision for change in later] == list(range(2, 2 + len(later)))
    assert {change.open.opened_at for change in later} == {first.open.opened_at}
    # Once a day while nothing more happens.
    assert 1 <= len(later) <= 3
    after = changes(watch, world(DAYS + 11, 20, 5))
    assert [(change.subject, change.status) for change in after if change.status != "updated"] == [("input", "resolved")]
    assert watch.seen.open == {}
    assert "as usual again" in sentence("3", after[-1])


def test_values_that_go_missing_are_told_from_values_that_move(made: Reference) -> None:
    first = changes(Watch(made), world(DAYS, 3, 6), world(DAYS + 3, 3, 7, missing=0.4))[0]
    assert (first.subject, first.status, [one.name for one in first.drifts]) == ("values", "opened", ["ratio"])
    assert first.drifts[0].missing > first.drifts[0].missing_then == pytest.approx(0.1, abs=0.02)
    assert sentence("3", first) == ("missing or unknown values among the inputs of version 3 have drifted from what it was made of: ratio")


def test_it_goes_on_from_what_it_remembers(made: Reference) -> None:
    rows = [world(DAYS, 4, 8), world(DAYS + 4, 4, 9, shift=0.6)]
    expected = changes(Watch(made), *rows)
    watch, found = Watch(made), []
    for hour, counts in (of_hour for part in rows for of_hour in hourly(watch.layout, part)):
        watch = Watch(made, msgspec.msgpack.decode(msgspec.msgpack.encode(watch.seen), type=Seen))
        # Late ones are added to what their hour has.
        watch.add(hour, counts // 2)
        watch.add(hour, counts - counts // 2)
        found += watch.judge(hour)
    assert found == expected
    assert found


def test_a_version_that_decides_no_more_has_no_open_alerts(made: Reference) -> None:
    watch = Watch(made)
    assert changes(watch, world(DAYS, 3, 10), world(DAYS + 3, 3, 11, shift=0.6))
    retired = watch.retire(10**12)
    assert [(change.subject, change.status) for change in retired] == [("input", "resolved")]
    assert sentence("3", retired[0]) == "version 3 decides no more"
    assert watch.retire(10**12) == []


def test_of_few_hours_or_rows_nothing_is_said(made: Reference) -> None:
    vectors, scores, time = world(DAYS, 1, 12, shift=5.0)
    morning = time % DAY < DAY // 2
    assert changes(Watch(made), (vectors[morning], scores[morning], time[morning])) == []
    assert changes(Watch(made), world(DAYS, 3, 13, rows=100, shift=5.0)) == []
    assert changes(Watch(made), world(DAYS, 3, 13, rows=400, shift=5.0)) != []


def test_a_reference_of_few_days_is_watched_by_nobody() -> None:
    vectors, scores, time = world(0, 10, 1)
    made = reference(NAMES, vectors, time, scores, time)
    assert made.in_control is None
    assert changes(Watch(made), world(10, 5, 14, shift=5.0)) == []
