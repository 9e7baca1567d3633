"""Rows of a canonical table as the JSON messages of ``streams/messages/events.py``."""

import pyarrow as pa

from streams.messages.events import Label, Transaction, encode

_LABEL_FIELDS = tuple(name for name in Label.__struct_fields__ if name != "source")


class _SparseTransaction(Transaction, omit_defaults=True):
    """A transaction whose fields without a value are left out."""


def encode_transactions(table: pa.Table) -> list[bytes]:
    """One JSON ``Transaction`` a row; fields without a value are left out."""
    columns = [table.column(name).to_pylist() for name in Transaction.__struct_fields__]
    return [encode(message) for message in map(_SparseTransaction, *columns)]


def encode_labels(table: pa.Table) -> list[bytes]:
    """One JSON ``Label`` a row, by a chargeback; every row must have label_time and is_fraud."""
    columns = [table.column(name).to_pylist() for name in _LABEL_FIELDS]
    return [encode(Label(*values)) for values in zip(*columns, strict=True)]
