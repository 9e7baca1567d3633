"""Files come in whole or with an error that names the fix, and go out whole or not at all."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import UserError
from features.history.columns import parse_mapping
from features.history.datafile import is_ours, read_transactions, write_transactions

MAPPING = parse_mapping("transaction_id=id,event_time=at,user_id=card,merchant_id=shop,amount=sum,currency=:EUR,is_fraud=bad", "major")
HEADER = "id,at,card,shop,sum,bad,note\n"
ROW = "1,2018-04-01T12:00:00Z,007,s,12.50,1,x\n"
NOON, WEEK = 1_522_584_000_000, 7 * 86_400_000


def csv(folder: Path, text: str | bytes) -> Path:
    path = folder / "x.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def complaint(path: Path) -> str:
    with pytest.raises(UserError) as raised:
        read_transactions(path, MAPPING)
    return str(raised.value)


def test_ids_of_a_csv_file_keep_their_zeros(tmp_path: Path) -> None:
    (row,) = read_transactions(csv(tmp_path, HEADER + ROW), MAPPING).to_pylist()
    assert (row["user_id"], row["amount"], row["event_time"], row["label_time"]) == ("007", 1250, NOON, NOON + WEEK)


def test_quoted_line_breaks_belong_to_their_value(tmp_path: Path) -> None:
    table = read_transactions(csv(tmp_path, HEADER + ROW.replace("007", '"0\n7"') + ROW), MAPPING)
    assert table["user_id"].to_pylist() == ["0\n7", "007"]


def test_parquet_is_known_by_its_content_not_its_name(tmp_path: Path) -> None:
    columns = {"id": [1], "at": [NOON], "card": ["c"], "shop": ["s"], "sum": [12.5], "bad": [0], "unread": [b"\xff"]}
    pq.write_table(pa.table(columns), tmp_path / "x.csv")
    (row,) = read_transactions(tmp_path / "x.csv", MAPPING).to_pylist()
    assert (row["transaction_id"], row["amount"], row["label_time"]) == ("1", 1250, None)


def test_a_row_is_counted_without_the_header(tmp_path: Path) -> None:
    assert '1 of 2 rows of x.csv can\'t be used: "sum" is no number in 1 row, first in row 2 ("12,50")' in complaint(
        csv(tmp_path, HEADER + ROW + ROW.replace("12.50", '"12,50"'))
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "Empty CSV file"),
        (HEADER + ROW + "1,2\n", "1 of 2 rows of x.csv can't be used: the header has 7 columns, but row 2 has 2; fix or remove"),
        ("id;at\n1;2\n", "x.csv seems to be separated by ';'; write it with commas, and decimals with a point"),
        ("id\tat\n1\t2\n", "x.csv seems to be separated by '\\t'; write it with commas"),
        ("id,at\n1,2\n", 'column "card" is missing in x.csv, which has id, at'),
        ((HEADER + ROW).encode().replace(b"007", b"\xff\xfe"), "UTF8"),
        (b"PAR1 and then nothing", "x.csv can't be read"),
    ],
)
def test_a_damaged_file_is_refused_whole(tmp_path: Path, content: str | bytes, sentence: str) -> None:
    assert sentence in complaint(csv(tmp_path, content))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert complaint(tmp_path / "no.csv") == f"there is no file {tmp_path / 'no.csv'}; name a CSV or Parquet file"
    assert complaint(tmp_path) == f"{tmp_path} is a folder; name a CSV or Parquet file"


def test_a_presets_optional_columns_may_be_missing_and_no_others(tmp_path: Path) -> None:
    six = "transaction_id,event_time,user_id,merchant_id,amount,currency"
    (row,) = read_transactions(csv(tmp_path, f"{six}\n1,{NOON},u,m,5,EUR\n"), parse_mapping("tidemark")).to_pylist()
    assert (row["device_id"], row["is_fraud"], row["label_time"], row["amount"]) == (None, None, None, 5)
    with pytest.raises(UserError, match='column "currency" is missing'):
        read_transactions(csv(tmp_path, f"{six.removesuffix(',currency')}\n1,{NOON},u,m,5\n"), parse_mapping("tidemark"))
    with pytest.raises(UserError, match="--labels-after 7d needs a fraud column"):
        read_transactions(csv(tmp_path, f"{six}\n1,{NOON},u,m,5,EUR\n"), parse_mapping("tidemark"), "7d")


def test_what_is_ours_is_known_by_its_mark(tmp_path: Path) -> None:
    table = pa.table({"a": [1]})
    write_transactions(tmp_path / "ours.parquet", [table], table.schema)
    pq.write_table(table, tmp_path / "theirs.parquet")
    (tmp_path / "odd.parquet").write_bytes(b"PAR1 and then nothing")
    assert [is_ours(tmp_path / f"{name}.parquet") for name in ("ours", "theirs", "odd")] == [True, False, False]


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    schema = pa.schema([("a", pa.int64())])

    def chunks() -> Iterator[pa.Table]:
        yield pa.table({"a": [1]}, schema=schema)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_transactions(tmp_path / "new" / "x.parquet", chunks(), schema)
    assert list((tmp_path / "new").iterdir()) == []


def test_where_nothing_can_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"can't be written.*name a file where you may write"):
        write_transactions(tmp_path / "file" / "x.parquet", [], pa.schema([("a", pa.int64())]))
