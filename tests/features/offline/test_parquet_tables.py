"""Tables of the offline store: only what is committed counts, once, and whole days can be replaced."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from features.errors import UserError
from features.offline.parquet_tables import OfflineTable, WrittenFile, unless_compacted, write_file
from features.offline.storage import Storage

SCHEMA = pa.schema([("name", pa.string()), ("value", pa.float32())])
SUNDAY, MONDAY = date(2018, 4, 1), date(2018, 4, 2)


@pytest.fixture
def table(tmp_path: Path) -> OfflineTable:
    return OfflineTable(Storage.of(tmp_path), "things", SCHEMA)


def put(table: OfflineTable, day: date, stem: str, names: Iterable[str]) -> WrittenFile:
    rows = pa.table({"name": list(names), "value": pa.array([1.5 for _ in names], pa.float32())}, schema=SCHEMA)
    return write_file(table.storage, day, stem, rows)


def names(table: OfflineTable) -> list[str]:
    return sorted(table.read(["name"])["name"].to_pylist())


def test_what_is_written_counts_once_it_is_committed(table: OfflineTable) -> None:
    first, second = put(table, SUNDAY, "a-0", "ab"), put(table, MONDAY, "a-0", "c")
    assert not table.exists()
    assert table.uris() == []
    assert table.commit([first, second], "writer", 0)
    assert names(table) == ["a", "b", "c"]
    put(table, MONDAY, "a-1", "d")
    assert names(table) == ["a", "b", "c"]


def test_a_commit_that_is_tried_again_changes_nothing(table: OfflineTable) -> None:
    file = put(table, SUNDAY, "a-0", "ab")
    assert [table.commit([file], "writer", 7), table.commit([file], "writer", 7)] == [True, False]
    assert table.commit([put(table, SUNDAY, "b-0", "c")], "another", 0)
    assert table.committed("writer") == 7
    assert table.committed("nobody") is None
    assert names(table) == ["a", "b", "c"]


def test_days_are_kept_apart_and_may_be_replaced(table: OfflineTable) -> None:
    table.commit([put(table, SUNDAY, "a-0", "ab"), put(table, MONDAY, "a-0", "c")], "writer", 0)
    assert [Path(uri).parent.name for uri in table.uris(MONDAY)] == ["date=2018-04-02"]
    assert [Path(uri).parent.name for uri in table.uris(None, MONDAY)] == ["date=2018-04-01"]
    table.commit([put(table, SUNDAY, "b-0", "z")], "writer", 1, replaced=[SUNDAY])
    assert names(table) == ["c", "z"]
    found = table.dataset().to_table(filter=pc.field("date") == MONDAY)
    assert found.schema.names == ["name", "value", "date"]
    assert found["date"].to_pylist() == [MONDAY]


def test_compacting_joins_files_and_leaves_no_other(table: OfflineTable, tmp_path: Path) -> None:
    for number in range(4):
        table.commit([put(table, SUNDAY, f"a-{number}", str(number))], "writer", number)
    assert table.compact() == 4
    assert names(table) == ["0", "1", "2", "3"]
    assert len(list(tmp_path.rglob("*.parquet"))) == 1
    assert table.committed("writer") == 3


def test_a_file_that_is_not_committed_yet_outlives_a_compaction(table: OfflineTable) -> None:
    table.commit([put(table, SUNDAY, "a-0", "a"), put(table, SUNDAY, "a-1", "b")], "writer", 0)
    waiting = put(table, SUNDAY, "a-2", "c")
    table.compact()
    assert table.commit([waiting], "writer", 1)
    assert names(table) == ["a", "b", "c"]


def test_a_reader_begins_again_when_its_files_were_joined(table: OfflineTable) -> None:
    table.commit([put(table, SUNDAY, "a-0", "a"), put(table, SUNDAY, "a-1", "b")], "writer", 0)
    readings = 0

    def read() -> list[str]:
        nonlocal readings
        readings += 1
        begun = table.dataset()
        if readings == 1:
            table.compact()
        return sorted(begun.to_table()["name"].to_pylist())

    assert unless_compacted(read) == ["a", "b"]
    assert readings == 2


def test_a_writer_s_positions_are_kept_with_what_it_commits(table: OfflineTable) -> None:
    assert table.positions("writer", ["0", "1"]) == {}
    table.commit([put(table, SUNDAY, "a-0", "a")], "writer", 3, positions={"0": 3})
    table.commit([], "writer", 8, positions={"0": 5, "1": 3})
    assert table.positions("writer", ["0", "1", "2"]) == {"0": 5, "1": 3}
    assert table.positions("another", ["0"]) == {}


def test_a_column_that_is_new_is_null_in_what_was_there_before(table: OfflineTable) -> None:
    table.commit([put(table, SUNDAY, "a-0", "a")], "writer", 0)
    wider = OfflineTable(Storage(str(Path(table.storage.url).parent)), "things", SCHEMA.append(pa.field("more", pa.float32())))
    row = pa.table({"name": ["b"], "value": [2.0], "more": [3.0]}, schema=wider.schema)
    wider.commit([write_file(wider.storage, SUNDAY, "a-1", row)], "writer", 1)
    wider.compact()
    assert sorted(zip(*wider.read(["name", "more"]).to_pydict().values(), strict=True)) == [("a", None), ("b", 3.0)]
    assert names(table) == ["a", "b"]


def test_a_store_is_a_folder_or_an_s3_prefix(tmp_path: Path) -> None:
    assert Storage.of(tmp_path / "x" / "..").url == str(tmp_path)
    assert Storage.of("s3://bucket/a/").at("b").url == "s3://bucket/a/b"
    assert Storage.of("s3://bucket/a").spark_url == "s3a://bucket/a"
    with pytest.raises(UserError, match="s3://bucket/tidemark"):
        Storage.of("gs://bucket")


def in_currency(table: OfflineTable, currency: str | None) -> OfflineTable:
    """The same table, as a deployment of this currency has it."""
    return OfflineTable(Storage(str(Path(table.storage.url).parent)), "things", SCHEMA, currency)


def test_a_table_says_in_which_currency_it_is(table: OfflineTable) -> None:
    assert table.currency() is None
    in_currency(table, "EUR").commit([put(table, SUNDAY, "a-0", "a")], "writer", 0)
    assert table.currency() == "EUR"
    table.require_currency("EUR")
    with pytest.raises(UserError, match=r"things is in EUR, but this deployment settles in USD; name its own offline store with --store"):
        table.require_currency("USD")
    with pytest.raises(UserError, match="is in EUR"):
        in_currency(table, "USD").commit([put(table, SUNDAY, "a-1", "b")], "writer", 1)
    assert names(table) == ["a"]
    assert table.compact() == 0
    assert in_currency(table, None).commit([put(table, SUNDAY, "a-2", "c")], "another", 0)
    assert table.currency() == "EUR"


def test_a_table_from_before_says_it_from_the_next_commit_on(table: OfflineTable) -> None:
    table.commit([put(table, SUNDAY, "a-0", "a")], "writer", 0, positions={"0": 7})
    table.require_currency("USD")
    dollars = in_currency(table, "USD")
    assert dollars.commit([put(table, SUNDAY, "a-1", "b")], "writer", 1, positions={"0": 8})
    assert (table.currency(), table.committed("writer"), table.positions("writer", ["0"])) == ("USD", 1, {"0": 8})
    assert dollars.commit([put(table, MONDAY, "a-2", "c")], "writer", 2)
    assert names(table) == ["a", "b", "c"]
