"""The table ``outcomes``, against a plain loop over what was archived; and what of it is written again when."""

from datetime import UTC, date, datetime
from pathlib import Path
from shutil import copytree
from typing import Any

import pyarrow.parquet as pq
import pytest

from features.definitions import DAY
from features.errors import UserError
from features.offline.parquet_tables import OfflineTable, WrittenFile
from features.offline.storage import Storage
from models.training_set.label_maturity import FEWEST
from streams.archive.archived_topics import ARCHIVED
from streams.archive.served import parquet_replaced_days
from streams.archive.served.outcomes import SCHEMA
from streams.archive.served.parquet_outcomes import OutcomesTable, Updated, newest_decision, update
from tests.made.outcomes_world import Row, World, plain_outcomes, world
from tests.made.served_decisions import T0, archive_more, decided, label

DAYS, DELAY = 8, 3 * DAY
END = T0 + DAYS * DAY


@pytest.fixture
def store(tmp_path: Path) -> Storage:
    return Storage.of(tmp_path)


@pytest.fixture(scope="module")
def of() -> World:
    return world(DAYS)


@pytest.fixture(scope="module")
def brought_once(of: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("brought")
    archive(Storage.of(folder), 1, of.rows, of.labels, of.copies)
    brought(Storage.of(folder))
    return folder


@pytest.fixture
def full(brought_once: Path, tmp_path: Path) -> Storage:
    """A store in which all of it is archived, and the table up to date."""
    return Storage.of(copytree(brought_once, tmp_path / "full"))


def archive(store: Storage, number: int, rows: list[Row], labels: list[Row], copies: list[Row]) -> None:
    archive_more(store, number, scoring_log=rows, labels=labels, decisions=rows, transactions=copies)


def brought(store: Storage, as_of: int = END, **more: Any) -> Updated:
    return update(store, more.get("begin"), more.get("end"), as_of, more.get("delay", DELAY))


def table(store: Storage) -> list[Row]:
    return sorted(OutcomesTable(store).read().to_pylist(), key=lambda row: (row["event_time"], row["user_id"], row["transaction_id"]))


def expected(of: World, as_of: int = END) -> list[Row]:
    rows = [{name: row.get(name) for name in SCHEMA.names} for row in plain_outcomes(of, as_of, DELAY, FEWEST)]
    for row in rows:
        row["known"] = pytest.approx(row["known"], rel=1e-12)
    return sorted(rows, key=lambda row: (row["event_time"], row["user_id"], row["transaction_id"]))


def day_of(moment: int) -> date:
    return datetime.fromtimestamp(moment / 1000, UTC).date()


def files(store: Storage) -> dict[str, bytes]:
    folder = Path(store.url) / "outcomes"
    return {
        str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*.parquet")) if "_delta_log" not in file.parts
    }


def test_it_is_what_a_plain_loop_makes_of_the_archive(full: Storage, of: World) -> None:
    found = table(full)
    assert found == expected(of)
    assert {row["outcome"] for row in found} == {"fraud", "legitimate", "presumed_legitimate", "immature", "unseen"}
    assert any(row["reversed"] for row in found)
    assert any(0 < row["known"] < 1 for row in found)


@pytest.mark.parametrize("seed", [1, 2])
def test_so_it_is_of_other_archives(store: Storage, seed: int) -> None:
    other = world(4, 20, seed)
    archive(store, 1, other.rows, other.labels, other.copies)
    brought(store, T0 + 5 * DAY)
    assert table(store) == expected(other, T0 + 5 * DAY)


def test_brought_on_day_by_day_it_is_what_one_run_makes_byte_by_byte(store: Storage, of: World, full: Storage) -> None:
    for number, (first, after) in enumerate([(0, 4), (4, 5), (5, DAYS)], 1):
        before, upto = T0 + first * DAY, T0 + after * DAY
        archive(
            store,
            number,
            [row for row in of.rows if before <= row["event_time"] < upto],
            *([each for each in labels if before <= each["label_time"] < upto] for labels in (of.labels, of.copies)),
        )
        brought(store, upto)
    late = [[each for each in labels if each["label_time"] >= END] for labels in (of.labels, of.copies)]
    archive(store, 9, [], *late)
    brought(store)
    assert table(store) == expected(of)
    rows = [{name.split("/")[0]: content for name, content in files(place).items()} for place in (store, full)]
    assert rows[0] == rows[1]


def test_of_an_earlier_day_it_is_what_was_known_then_and_back_again(full: Storage, of: World) -> None:
    whole = files(full)
    earlier = T0 + 5 * DAY + DAY // 3
    done = brought(full, earlier)
    assert done.removed == tuple(day_of(T0 + day * DAY) for day in range(6, DAYS))
    assert table(full) == expected(of, earlier)
    brought(full)
    assert files(full) == whole


def test_what_no_longer_changes_is_not_written_again_unless_less_is_to_be_known(full: Storage, of: World) -> None:
    late = END + 30 * DAY
    brought(full, late)
    assert table(full) == expected(of, late)
    assert brought(full, late + DAY).written == ()
    brought(full, T0 + 5 * DAY)
    assert table(full) == expected(of, T0 + 5 * DAY)


def test_a_second_run_writes_nothing_and_neither_does_one_after_a_compaction(store: Storage, of: World) -> None:
    half = len(of.labels) // 2
    archive(store, 1, of.rows, of.labels[:half], [])
    archive(store, 2, [], of.labels[half:], of.copies)
    brought(store)
    whole = files(store)
    assert brought(store).written == ()
    assert sum(OfflineTable(store, topic, ARCHIVED[topic].schema).compact() for topic in ("labels", "scoring-log")) > 0
    assert brought(store).written == ()
    assert files(store) == whole


def a_label(row: Row, **more: object) -> Row:
    return {
        **label(row["transaction_id"], 0, 0),
        "user_id": row["user_id"],
        "event_time": row["event_time"],
        "source": "analyst",
        "timestamp": END,
        "partition": 0,
        "offset": 10**6,
        **more,
    }


def test_one_more_label_has_its_own_day_written_again_and_no_other(full: Storage, of: World) -> None:
    before = files(full)
    row = next(row for row in table(full) if row["outcome"] == "immature")
    archive(full, 2, [], [more := a_label(row, label_time=END - 1)], [])
    assert brought(full).written == (day_of(row["event_time"]),)
    changed = {name.split("/")[0] for name in files(full).keys() ^ before.keys()}
    assert changed == {f"date={day_of(row['event_time'])}"}
    assert table(full) == expected(World(of.rows, [*of.labels, more], of.copies))


def test_a_label_that_names_another_day_has_its_transactions_day_written_again(full: Storage, of: World) -> None:
    row = next(row for row in table(full) if row["outcome"] == "presumed_legitimate")
    elsewhere = T0 + 4 * DAY
    archive(full, 2, [], [more := a_label(row, event_time=elsewhere, label_time=END - 1, is_fraud=False)], [])
    assert set(brought(full).written) == {day_of(row["event_time"]), day_of(elsewhere)}
    assert table(full) == expected(World(of.rows, [*of.labels, more], of.copies))


def test_matured_frauds_change_what_is_known_of_the_young(full: Storage, of: World) -> None:
    row = next(row for row in table(full) if row["outcome"] == "presumed_legitimate")
    archive(full, 2, [], [more := a_label(row, label_time=END - 1)], [])
    young = {day_of(T0 + day * DAY) for day in range(DAYS - 3, DAYS)}
    assert set(brought(full).written) == {day_of(row["event_time"]), *young}
    assert table(full) == expected(World(of.rows, [*of.labels, more], of.copies))


def test_killed_between_days_it_is_completed_by_the_next_run(
    store: Storage, of: World, full: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive(store, 1, of.rows, of.labels, of.copies)
    commits, left = OfflineTable.commit, iter(range(5, 0, -1))

    def killed(table: OfflineTable, *given: Any) -> bool:
        if next(left) == 1:
            raise KeyboardInterrupt  # a file has been written and doesn't count yet
        return commits(table, *given)

    monkeypatch.setattr(OfflineTable, "commit", killed)
    with pytest.raises(KeyboardInterrupt):
        brought(store)
    monkeypatch.undo()
    days = OutcomesTable(store).days()
    assert 0 < len(days) < DAYS
    assert len(table(store)) == sum(1 for row in expected(of) if day_of(row["event_time"]) in days), "whole days only"
    brought(store)
    assert table(store) == expected(of)
    # The same bytes as undisturbed, under names that say what archive they were made of.
    assert list(files(store).values()) == list(files(full).values())


def test_of_two_runs_at_once_one_is_refused(store: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    of = world(3)
    archive(store, 1, of.rows, of.labels, of.copies)
    writes, calls = parquet_replaced_days.write_file, []

    def meanwhile(*given: Any) -> WrittenFile:
        calls.append(given)
        written = writes(*given)
        if len(calls) == 4:
            monkeypatch.undo()
            brought(store)
        return written

    monkeypatch.setattr(parquet_replaced_days, "write_file", meanwhile)
    with pytest.raises(UserError, match=r"another run writes to .*outcomes"):
        brought(store)
    assert table(store) == expected(of)
    assert brought(store).written == ()


def test_a_range_is_brought_up_to_date_alone(store: Storage, of: World) -> None:
    archive(store, 1, of.rows, of.labels, of.copies)
    begin, end = day_of(T0 + 2 * DAY), day_of(T0 + 4 * DAY)
    assert brought(store, begin=begin, end=end).written == (begin, day_of(T0 + 3 * DAY))
    assert set(OutcomesTable(store).days()) == {begin, day_of(T0 + 3 * DAY)}
    brought(store)
    assert table(store) == expected(of)


def test_who_just_reads_the_files_sees_each_decision_once(full: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after a run that was killed before it had removed what it replaced."""

    def killed(*_given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(OfflineTable, "remove_others", killed)
    with pytest.raises(KeyboardInterrupt):
        brought(full, END + DAY)
    monkeypatch.undo()
    assert rows_of_files(full) > len(table(full))
    brought(full)
    assert rows_of_files(full) == len(table(full))


def rows_of_files(store: Storage) -> int:
    return sum(pq.read_metadata(file).num_rows for file in (Path(store.url) / "outcomes").glob("date=*/*.parquet"))


def test_without_decisions_there_is_no_newest(store: Storage) -> None:
    assert newest_decision(store) is None
    refused = {**decided("a", 3), "refused": "no such thing"}
    archive(store, 1, [refused, decided("b", 1), decided("c", 1.5)], [], [])
    assert newest_decision(store) == T0 + int(1.5 * DAY)
