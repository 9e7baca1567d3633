"""Transactions and labels as the JSON messages of ``streams/events.py``, a whole table at once.

The text of a message is joined from its columns by Arrow, about ten times quicker than row by row through the types; a test holds
the two to the same meaning. Fields without a value are left out.
"""

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from streams.events import Label, Transaction

_TO_ESCAPE = r'["\\\x00-\x1f]'
_LABEL_SOURCE = "chargeback"


def encode_transactions(table: pa.Table) -> pa.BinaryArray:
    """One JSON ``Transaction`` a row of the canonical table."""
    return _objects(table, Transaction.__struct_fields__, "")


def encode_labels(table: pa.Table) -> pa.BinaryArray:
    """One JSON ``Label`` a row of the canonical table, all of whose rows must have label_time and is_fraud."""
    fields = [name for name in Label.__struct_fields__ if name != "source"]
    return _objects(table, fields, f',"source":"{_LABEL_SOURCE}"')


def _objects(table: pa.Table, fields: list[str] | tuple[str, ...], last: str) -> pa.BinaryArray:
    pieces: list[pa.Array | str] = []
    pending = "{"
    for position, name in enumerate(fields):
        column = table.column(name).combine_chunks()
        comma = "," if position else ""
        if column.null_count == 0:
            value, quote = _text(column)
            pieces += [f'{pending}{comma}"{name}":{quote}', value]
            pending = quote
        elif column.null_count < len(column):
            value, quote = _text(column)
            pieces += [pending, pc.fill_null(pc.binary_join_element_wise(f'{comma}"{name}":{quote}', value, quote, ""), "")]
            pending = ""
    joined = pc.binary_join_element_wise(*pieces, pending + last + "}", "")
    return joined.cast(pa.binary())


def _text(column: pa.Array) -> tuple[pa.StringArray, str]:
    """A column's values as they stand in JSON, without their quotes, and the quote that belongs around them."""
    if pa.types.is_boolean(column.type) or pa.types.is_integer(column.type):
        return column.cast(pa.string()), ""
    if pc.any(pc.match_substring_regex(column, _TO_ESCAPE)).as_py():
        escaped = [None if value is None else msgspec.json.encode(value)[1:-1].decode() for value in column.to_pylist()]
        return pa.array(escaped, pa.string()), '"'
    return column, '"'
