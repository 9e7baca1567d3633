"""Rows of the canonical table are sent as what they say, fields without a value left out."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.history.columns import CANONICAL
from streams.messages.events import Label, Transaction
from streams.messages.readers import label_reader, transaction_reader
from streams.replay.encode import encode_labels, encode_transactions

decode_transaction = transaction_reader()
decode_label = label_reader()

text = st.text(min_size=1, max_size=8)
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
def test_transactions_are_read_back_as_they_were(rows: list[dict[str, Any]]) -> None:
    expected = [Transaction(**{name: row[name] for name in Transaction.__struct_fields__}) for row in rows]
    assert [decode_transaction(message) for message in encode_transactions(table_of(rows))] == expected


@given(st.lists(row, max_size=6))
def test_labels_are_read_back_as_they_were(rows: list[dict[str, Any]]) -> None:
    fields = ("transaction_id", "user_id", "merchant_id", "event_time", "label_time", "is_fraud")
    expected = [Label(**{name: row[name] for name in fields}) for row in rows]
    assert [decode_label(message) for message in encode_labels(table_of(rows))] == expected


@pytest.mark.parametrize(("mcc", "end"), [("5411", b',"mcc":"5411"}'), (None, b"}")])
def test_fields_without_a_value_are_left_out(mcc: str | None, end: bytes) -> None:
    sent = {"transaction_id": "1", "event_time": 10**11, "user_id": "u", "merchant_id": "m", "amount": 5, "currency": "EUR", "mcc": mcc}
    start = b'{"transaction_id":"1","event_time":100000000000,"user_id":"u","merchant_id":"m","amount":5,"currency":"EUR"'
    assert encode_transactions(table_of([sent])) == [start + end]
