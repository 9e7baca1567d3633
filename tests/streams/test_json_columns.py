"""Messages encoded column by column mean what the same messages mean encoded one by one."""

from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from streams.columns import CANONICAL
from streams.events import Label, Transaction, decode_label, decode_transaction, encode
from streams.json_columns import encode_labels, encode_transactions

text = st.text(min_size=1, max_size=8) | st.text(alphabet='"\\/\n\x1f\x7f\u2028é', min_size=1, max_size=8)
times = st.integers(10**11, 10**13)
row = st.fixed_dictionaries(
    {
        "transaction_id": text,
        "event_time": times,
        "user_id": text,
        "merchant_id": text,
        "amount": st.integers(0, 10**12),
        "currency": st.just("EUR"),
        "device_id": st.none() | text,
        "country": st.none() | text,
        "channel": st.none() | text,
        "mcc": st.none() | text,
        "is_fraud": st.booleans(),
        "label_time": times,
    }
)


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=CANONICAL)


@given(st.lists(row, max_size=6))
def test_transactions_mean_the_same(rows: list[dict[str, Any]]) -> None:
    expected = [Transaction(**{name: value for name, value in row.items() if name not in ("is_fraud", "label_time")}) for row in rows]
    assert [decode_transaction(message) for message in encode_transactions(table_of(rows)).to_pylist()] == expected


@given(st.lists(row, max_size=6))
def test_labels_are_the_same_bytes(rows: list[dict[str, Any]]) -> None:
    fields = ("transaction_id", "user_id", "merchant_id", "event_time", "label_time", "is_fraud")
    labels = [Label(**{name: row[name] for name in fields}) for row in rows]
    encoded = encode_labels(table_of(rows)).to_pylist()
    assert encoded == [encode(label) for label in labels]
    assert [decode_label(message) for message in encoded] == labels


@given(st.lists(row, min_size=1, max_size=6))
def test_a_transaction_with_all_its_fields_is_the_same_bytes(rows: list[dict[str, Any]]) -> None:
    full = [{**row, "device_id": "d", "country": "FR", "channel": "pos", "mcc": "5411"} for row in rows]
    expected = [encode(Transaction(**{name: row[name] for name in Transaction.__struct_fields__})) for row in full]
    assert encode_transactions(table_of(full)).to_pylist() == expected


def test_fields_without_a_value_are_left_out() -> None:
    rows = [
        {"transaction_id": "1", "event_time": 10**11, "user_id": "u", "merchant_id": "m", "amount": 5, "currency": "EUR", "mcc": mcc}
        for mcc in ("5411", None)
    ]
    start = b'{"transaction_id":"1","event_time":100000000000,"user_id":"u","merchant_id":"m","amount":5,"currency":"EUR"'
    assert encode_transactions(table_of(rows)).to_pylist() == [start + b',"mcc":"5411"}', start + b"}"]
