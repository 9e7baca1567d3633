"""The columns of any file become the canonical table, or an error says which column or row can't, and how to fix it."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import UserError
from features.history.columns import CANONICAL, ColumnMapping, canonical_table, parse_mapping
from streams.messages.readers import transaction_reader
from streams.replay.encode import encode_transactions
from tests.made.transaction_files import NOON, file_of

decode_transaction = transaction_reader()

MAPPING = parse_mapping(
    "transaction_id=id,event_time=at,user_id=card,merchant_id=shop,amount=sum,currency=:EUR,is_fraud=bad,mcc=code", "minor"
)
MAJOR = ColumnMapping(MAPPING.columns, "major", MAPPING.constants)


def values(field: str, mapping: ColumnMapping = MAPPING, **columns: Any) -> list[Any]:
    table = canonical_table(file_of(**columns), mapping, "x.csv")
    assert table.schema == CANONICAL
    return table[field].to_pylist()  # type: ignore[no-any-return]


def complaint(mapping: ColumnMapping = MAPPING, **columns: Any) -> str:
    with pytest.raises(UserError) as raised:
        canonical_table(file_of(**columns), mapping, "x.csv")
    return str(raised.value)


class TestTheMapping:
    def test_the_handbook_is_mapped_as_its_readme_describes(self) -> None:
        file = pa.table(
            {
                "TRANSACTION_ID": [7],
                "TX_DATETIME": pa.array([datetime(2018, 4, 1, 12)], pa.timestamp("us")),
                "CUSTOMER_ID": [596],
                "TERMINAL_ID": [3156],
                "TX_AMOUNT": [57.16],
                "TX_FRAUD": [1],
            }
        )
        (row,) = canonical_table(file, parse_mapping("handbook"), "h.parquet").to_pylist()
        assert {name: value for name, value in row.items() if value is not None} == {
            "transaction_id": "7",
            "event_time": NOON,
            "user_id": "596",
            "merchant_id": "3156",
            "amount": 5716,
            "currency": "EUR",
            "is_fraud": True,
        }

    def test_the_fraud_scenario_of_the_handbook_is_never_read(self) -> None:
        assert "TX_FRAUD_SCENARIO" not in parse_mapping("handbook").file_columns

    def test_a_column_with_a_comma_is_quoted_with_its_field(self) -> None:
        mapping = parse_mapping(
            'transaction_id=Id, event_time=Booked at,user_id=C,merchant_id=M,"amount=Amount, gross",currency=:EUR', "major"
        )
        assert mapping.columns["amount"] == "Amount, gross"
        assert mapping.columns["event_time"] == "Booked at"
        assert mapping.constants == {"currency": "EUR"}
        assert not mapping.labelled

    def test_one_column_may_give_two_fields(self) -> None:
        mapping = parse_mapping(
            "transaction_id=id,event_time=at,user_id=card,merchant_id=shop,amount=sum,currency=:EUR,device_id=card", "minor"
        )
        assert mapping.file_columns == ["id", "at", "card", "shop", "sum"]
        assert canonical_table(file_of(), mapping, "x.csv")["device_id"].to_pylist() == ["c"]

    @pytest.mark.parametrize(
        ("columns", "unit", "sentence"),
        [
            ("handbok", None, '"handbok" is no preset'),
            ("handbook", "minor", "contradicts --columns handbook"),
            ("handbook", "cents", "use major"),
            ("transaction_id=", None, "is no field=column"),
            ("currency=:", None, "is no field=column"),
            ("label=x", None, '"label" in --columns is no field'),
            ("label_time=x", None, '"label_time" in --columns is no field'),
            ("amount=a,amount=b", None, '"amount" stands twice'),
            ("amount=:3", None, "can't be the same in every row"),
            ("transaction_id=i,event_time=t,user_id=u,merchant_id=m,amount=a", "minor", "leaves out currency; add currency=:EUR"),
            (
                "transaction_id=i,event_time=t,amount=a,currency=:EUR",
                "minor",
                "leaves out user_id, merchant_id; add user_id=…,merchant_id=…",
            ),
            ("transaction_id=i,event_time=t,user_id=u,merchant_id=m,amount=a,currency=:EUR", None, "add --amount-unit major"),
        ],
    )
    def test_a_wrong_mapping_is_named_with_its_fix(self, columns: str, unit: str | None, sentence: str) -> None:
        with pytest.raises(UserError, match=r"--columns|--amount-unit") as raised:
            parse_mapping(columns, unit)
        assert sentence in str(raised.value)

    def test_a_missing_column_is_named_beside_those_that_are_there(self) -> None:
        with pytest.raises(UserError) as raised:
            canonical_table(file_of().drop_columns("shop"), MAPPING, "x.csv")
        assert str(raised.value) == (
            'column "shop" is missing in x.csv, which has id, at, card, sum, bad, code; map it with --columns merchant_id=…'
        )

    def test_a_column_that_stands_twice_is_refused(self) -> None:
        with pytest.raises(UserError, match='column "card" stands more than once in x'):
            canonical_table(file_of().append_column("card", pa.array(["d"])), MAPPING, "x.csv")


class TestIds:
    def test_texts_stay_and_whole_numbers_become_decimal(self) -> None:
        assert values("user_id", card=["007", "ü"]) == ["007", "ü"]
        assert values("user_id", card=pa.array([7, 2**63], pa.uint64())) == ["7", "9223372036854775808"]
        assert values("user_id", card=pa.array(["a", "b", "a"]).dictionary_encode()) == ["a", "b", "a"]
        assert values("user_id", card=pa.array(["a"], pa.large_string())) == ["a"]

    def test_what_pandas_made_floats_are_whole_numbers_again(self) -> None:
        assert values("mcc", code=[5411.0, None]) == ["5411", None]

    def test_an_empty_optional_text_is_none(self) -> None:
        assert values("mcc", code=["", None, "5411"]) == [None, None, "5411"]
        assert values("mcc", code=pa.nulls(1)) == [None]

    @pytest.mark.parametrize(
        ("ids", "sentence"),
        [
            (["a", "", None, "b"], '2 of 4 rows of x.csv can\'t be used: "card" is missing or empty in 2 rows, first in row 2; fix or'),
            (["a", "b" * 257], "is longer than 256 characters in 1 row, first in row 2"),
            ([1.0, 1.5], '"card" is no whole number in 1 row, first in row 2 ("1.5")'),
            ([2.0**60], "is no whole number"),
            ([[1]], "but this field is text or a whole number; map user_id to another with --columns"),
            ([True], 'column "card" of x.csv holds bool'),
        ],
    )
    def test_what_is_no_id_is_refused(self, ids: list[Any], sentence: str) -> None:
        assert sentence in complaint(card=ids)


class TestTimes:
    @pytest.mark.parametrize(
        "written",
        [
            [NOON],
            [datetime(2018, 4, 1, 12)],
            [datetime(2018, 4, 1, 14, tzinfo=timezone(timedelta(hours=2)))],
            pa.array([NOON // 1000], pa.timestamp("s")),
            pa.array([NOON], pa.timestamp("ms", "America/New_York")),
            pa.array([NOON * 1000 + 999], pa.timestamp("us")),
            pa.array([NOON * 10**6 + 999_999], pa.timestamp("ns", "Europe/Berlin")),
            [str(NOON)],
            ["2018-04-01 12:00:00"],
            ["2018-04-01T12:00"],
            ["2018-04-01T12:00:00.000999Z"],
            ["2018-04-01T14:00:00+02:00"],
            ["2018-04-01T14:00:00.0+0200"],
        ],
    )
    def test_every_way_to_write_noon_is_noon(self, written: Any) -> None:
        assert values("event_time", at=written) == [NOON]

    def test_ways_may_be_mixed_in_a_column(self) -> None:
        assert values("event_time", at=["2018-04-01 12:00:00", "2018-04-01T12:00:00Z", str(NOON)]) == [NOON] * 3

    @pytest.mark.parametrize(
        ("written", "sentence"),
        [
            ([NOON, None], '"at" is missing in 1 row, first in row 2'),
            ([NOON // 1000], 'lies before 1973: times are milliseconds, these may be seconds in 1 row, first in row 1 ("1522584000")'),
            ([NOON * 1000], "lies after 2286"),
            (["01.04.2018"], 'is no ISO 8601 time and no integer in ms in 1 row, first in row 1 ("01.04.2018")'),
            (["2018-04-01 12:00:00", "2018-02-30 12:00:00"], 'first in row 2 ("2018-02-30 12:00:00")'),
            (["2018-04-01T12:00:00Z", "2018-04-01T25:00:00Z"], "first in row 2"),
            (["9" * 30], "is no ISO 8601 time"),
            ([1.5], "but a time is a timestamp, an integer in ms or ISO 8601 text"),
            (pa.array([2**63], pa.uint64()), "lies before 1973"),
        ],
    )
    def test_what_is_no_time_is_refused(self, written: Any, sentence: str) -> None:
        assert sentence in complaint(at=written)


class TestAmounts:
    def test_major_units_are_rounded_to_minor_ones(self) -> None:
        assert values("amount", MAJOR, sum=[57.16, 0.29, 1.005, 0.0, 10.0**10]) == [5716, 29, 100, 0, 10**12]
        assert values("amount", MAJOR, sum=["57.16", "3", "1e1", ".5"]) == [5716, 300, 1000, 50]
        assert values("amount", MAJOR, sum=[Decimal("57.16")]) == [5716]

    def test_minor_units_are_whole(self) -> None:
        assert values("amount", sum=[5716]) == [5716]
        assert values("amount", sum=[5716.0]) == [5716]
        assert values("amount", sum=["5716"]) == [5716]

    def test_the_currency_decides_how_many_minor_units_there_are(self) -> None:
        columns = {**MAPPING.columns, "currency": "cur"}
        mapping = ColumnMapping(columns, "major", {})
        assert values("amount", mapping, sum=[1.5, 15.0, 1.5], cur=["EUR", "JPY", "KWD"]) == [150, 15, 1500]
        assert values("amount", mapping, sum=[15.0], cur=["JPY"]) == [15]

    @pytest.mark.parametrize(
        ("mapping", "amounts", "sentence"),
        [
            (MAJOR, [1.0, None], '"sum" is missing in 1 row, first in row 2'),
            (MAJOR, [float("nan")], "is no finite number in 1 row, first in row 1"),
            (MAJOR, ["nan"], 'is no number in 1 row, first in row 1 ("nan")'),
            (MAJOR, ["12,50"], 'is no number in 1 row, first in row 1 ("12,50")'),
            (MAJOR, [-0.01], "is negative"),
            (MAJOR, [1e11], "is above 10^12 minor units"),
            (MAJOR, ["1e400"], "is no finite number"),
            (MAPPING, [12.5], "is not a whole number of minor units; use --amount-unit major in 1 row, first in row 1"),
            (MAPPING, [10**12 + 1], "is above 10^12 minor units"),
            (MAPPING, [True], "but an amount is a number"),
        ],
    )
    def test_what_is_no_amount_is_refused(self, mapping: ColumnMapping, amounts: list[Any], sentence: str) -> None:
        assert sentence in complaint(mapping, sum=amounts)


class TestCurrencies:
    def test_a_constant_that_is_no_code_is_named(self) -> None:
        mapping = ColumnMapping(MAPPING.columns, "minor", {"currency": "Euro"})
        assert 'the constant currency is no ISO 4217 code such as EUR in 1 row, first in row 1 ("Euro")' in complaint(mapping)

    def test_numbers_are_no_currencies(self) -> None:
        mapping = ColumnMapping({**MAPPING.columns, "currency": "cur"}, "minor", {})
        assert "but a currency is text" in complaint(mapping, cur=[978])
        assert "is no ISO 4217 code such as EUR in 1 row, first in row 2" in complaint(mapping, cur=["EUR", None])


class TestFrauds:
    @pytest.mark.parametrize("written", [[True, False, None], [1, 0, None], [1.0, 0.0, None], ["True", "FALSE", None], ["1", "0", None]])
    def test_marks_are_true_false_or_unknown(self, written: list[Any]) -> None:
        assert values("is_fraud", bad=written) == [True, False, None]

    def test_without_a_column_nothing_is_known(self) -> None:
        columns = {field: column for field, column in MAPPING.columns.items() if field != "is_fraud"}
        assert values("is_fraud", ColumnMapping(columns, "minor", MAPPING.constants), bad=[1]) == [None]

    @pytest.mark.parametrize(
        ("written", "sentence"),
        [
            ([2], 'is neither true nor false, 1 nor 0 in 1 row, first in row 1 ("2")'),
            (["yes"], 'first in row 1 ("yes")'),
            ([datetime(2018, 4, 1)], "but a fraud mark is true or false"),
        ],
    )
    def test_other_marks_are_refused(self, written: list[Any], sentence: str) -> None:
        assert sentence in complaint(bad=written)


def test_all_faults_are_counted_in_one_sentence() -> None:
    sentence = complaint(card=["a", "", "c", ""], at=[1, NOON, NOON, NOON], sum=[-1, -1, -1, 5], bad=[7, 0, 0, 0])
    assert sentence == (
        "4 of 4 rows of x.csv can't be used: "
        '"sum" is negative in 3 rows, first in row 1 ("-1"); "card" is missing or empty in 2 rows, first in row 2; '
        '"at" lies before 1973: times are milliseconds, these may be seconds in 1 row, first in row 1 ("1"); and 1 further problems; '
        "fix or remove these rows"
    )


def test_an_empty_file_is_an_empty_table() -> None:
    assert canonical_table(file_of().slice(0, 0), MAJOR, "x.csv").num_rows == 0


@given(
    st.lists(
        st.tuples(
            st.text(min_size=1, max_size=256),
            st.integers(0, 2 * 10**13),
            st.integers(-1, 2 * 10**12),
            st.none() | st.text(alphabet='ab"\\\n\x00é', max_size=300),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_whatever_is_mapped_makes_valid_messages(rows: list[tuple[str, int, int, str | None]]) -> None:
    """The bounds here are those of the messages: what passes is never refused as a message, and what is refused would be."""
    identifier, at, amount, code = (list(column) for column in zip(*rows, strict=True))
    try:
        table = canonical_table(file_of(card=identifier, at=at, sum=amount, code=pa.array(code, pa.string())), MAPPING, "x.csv")
    except UserError:
        assert min(at) < 10**11 or max(at) > 10**13 or min(amount) < 0 or max(amount) > 10**12 or any(len(c or "") > 256 for c in code)
    else:
        messages = [decode_transaction(message) for message in encode_transactions(table)]
        assert [(m.user_id, m.event_time, m.amount, m.mcc) for m in messages] == [(u, t, a, c or None) for u, t, a, c in rows]


def test_utc_is_assumed_without_a_zone() -> None:
    assert values("event_time", at=[datetime(2018, 4, 1, 12)]) == values("event_time", at=[datetime(2018, 4, 1, 12, tzinfo=UTC)])
