"""What a partition's decisions are counted as, and when an hour of them is reported."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.definitions import HOUR, MINUTE
from models.monitoring.layout import Layout
from models.monitoring.reference import SCORE, reference
from streams.monitor.tally import LATENESS, Place, Report, Tally, decode_report, decode_tally, encode

RNG = np.random.default_rng(0)
TIMES = np.arange(2_000) * 5 * MINUTE
MADE = reference(("a", "b"), RNG.random((2_000, 2)).astype(np.float32), TIMES, RNG.random(2_000), TIMES)
LAYOUT = Layout.of(MADE)
PLACE = Place("id", 2, 4, 100)


def add(tally: Tally, times: list[int], digest: str = "d", layout: Layout | None = LAYOUT, seed: int = 0) -> None:
    values = np.random.default_rng(seed).random((len(times), 3))
    columns = {"a": values[:, 0], "b": values[:, 1], SCORE: values[:, 2]}
    tally.add(digest, f"version of {digest}", np.array(times), lambda: columns, layout)


def hours(report: Report | None) -> list[tuple[str, int, int]]:
    assert report is not None
    return [(of_hour.digest, of_hour.hour, of_hour.rows) for of_hour in report.hours]


def test_an_hour_is_reported_once_it_is_over_for_a_while() -> None:
    tally = Tally()
    add(tally, [10, HOUR - 1, HOUR + LATENESS - 1])
    first = tally.report(PLACE)
    assert first == Report("id", 200, 2, 4, 0, False, [])
    assert tally.report(PLACE) is None
    add(tally, [HOUR + LATENESS])
    second = tally.report(PLACE)
    assert (hours(second), second is not None and second.through) == ([("d", 0, 2)], HOUR)
    assert tally.report(PLACE) is None


def test_what_comes_later_is_reported_too() -> None:
    tally = Tally()
    add(tally, [0, 3 * HOUR])
    assert hours(tally.report(PLACE)) == [("d", 0, 1)]
    add(tally, [5])
    assert hours(tally.report(PLACE)) == [("d", 0, 1)]


def test_an_idle_partition_keeps_nothing_back() -> None:
    tally = Tally()
    empty = tally.report(PLACE, idle=True)
    assert empty == Report("id", 201, 2, 4, -1, True, [])
    assert tally.report(PLACE, idle=True) is None
    add(tally, [10, 20])
    busy = tally.report(PLACE)
    assert (busy is not None and busy.idle, hours(busy)) == (False, [])
    assert hours(tally.report(PLACE, idle=True)) == [("d", 0, 2)]


def test_versions_are_counted_apart_and_without_a_reference_only_as_rows() -> None:
    tally = Tally()
    add(tally, [0, 1, 3 * HOUR], "d")
    add(tally, [2, 3 * HOUR], "without", None)
    report = tally.report(PLACE)
    assert report is not None
    assert [(of_hour.version, of_hour.rows, len(of_hour.counts)) for of_hour in report.hours] == [
        ("version of d", 2, 8 * LAYOUT.bins),
        ("version of without", 1, 0),
    ]


@given(st.lists(st.lists(st.integers(0, 10 * HOUR), min_size=1, max_size=20), min_size=1, max_size=8), st.data())
def test_all_is_reported_once_wherever_it_is_taken_up_again(batches: list[list[int]], data: st.DataObject) -> None:
    tally = Tally()
    reported: list[Report] = []
    for seed, times in enumerate(batches):
        add(tally, times, data.draw(st.sampled_from(["d", "e"])), seed=seed)
        report = tally.report(PLACE)
        reported += [] if report is None else [report]
        tally = decode_tally(encode(tally))
    last = tally.report(PLACE, idle=True)
    reported += [] if last is None else [last]
    reported = [decode_report(encode(report)) for report in reported]
    rows: dict[int, int] = {}
    bins = np.zeros(LAYOUT.bins, np.int64)
    for of_hour in (of_hour for report in reported for of_hour in report.hours):
        rows[of_hour.hour] = rows.get(of_hour.hour, 0) + of_hour.rows
        bins += np.frombuffer(of_hour.counts, np.int64)
    times = np.concatenate(batches)
    assert rows == dict(zip(*(found.tolist() for found in np.unique(times // HOUR * HOUR, return_counts=True)), strict=True))
    assert [int(LAYOUT.part(bins, name).sum()) for name in LAYOUT.names] == [len(times)] * 3
    assert [report.through for report in reported] == sorted(report.through for report in reported)
