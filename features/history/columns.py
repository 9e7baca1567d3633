"""What the columns of a file mean: the mapping given with ``--columns``, and the canonical table that it makes of the file.

A mapping is a preset (``handbook``, ``tidemark``) or ``field=column`` pairs with commas between them; a column name that holds a comma is
quoted with its field, and ``field=:value`` gives every row the same value::

    transaction_id=Id,event_time=Booked at,user_id=Card,merchant_id=Shop,"amount=Amount, gross",currency=:EUR,is_fraud=Chargeback
"""

import csv
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
import pyarrow as pa

from features.errors import UserError
from features.history import column_values
from features.history.column_values import UnfitColumnError, Values

AmountUnit = Literal["major", "minor"]

CANONICAL = pa.schema(
    [
        pa.field("transaction_id", pa.string(), nullable=False),
        pa.field("event_time", pa.int64(), nullable=False),  # ms UTC
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("merchant_id", pa.string(), nullable=False),
        pa.field("amount", pa.int64(), nullable=False),  # minor units
        pa.field("currency", pa.string(), nullable=False),
        pa.field("device_id", pa.string()),
        pa.field("country", pa.string()),
        pa.field("channel", pa.string()),
        pa.field("mcc", pa.string()),
        pa.field("is_fraud", pa.bool_()),  # null: nothing is known
        pa.field("label_time", pa.int64()),  # ms UTC; null: no label is ever sent
    ]
)
MAPPABLE = tuple(name for name in CANONICAL.names if name != "label_time")
REQUIRED = tuple(field.name for field in CANONICAL if not field.nullable)
# A constant would mean nothing here, or contradict the field's meaning.
_NEVER_CONSTANT = ("transaction_id", "event_time", "amount", "is_fraud")
_PROBLEMS_NAMED = 3

_READERS: Mapping[str, Callable[[pa.ChunkedArray], Values]] = {
    "transaction_id": column_values.identifiers,
    "event_time": column_values.times,
    "user_id": column_values.identifiers,
    "merchant_id": column_values.identifiers,
    "currency": column_values.currencies,
    "device_id": column_values.texts,
    "country": column_values.texts,
    "channel": column_values.texts,
    "mcc": column_values.texts,
    "is_fraud": column_values.frauds,
}


@dataclass(frozen=True)
class ColumnMapping:
    """Which column of the file, or which constant, gives each field; the unit in which the file states amounts; the fields whose columns
    a file may lack."""

    columns: Mapping[str, str]
    amount_unit: AmountUnit
    constants: Mapping[str, str]
    optional: frozenset[str] = frozenset()

    @property
    def labelled(self) -> bool:
        """Whether the file has the column of frauds."""
        return "is_fraud" in self.columns

    def fitted(self, present: Collection[str]) -> "ColumnMapping":
        """Without the optional columns that a file with these doesn't have."""
        return replace(self, columns={field: name for field, name in self.columns.items() if name in present or field not in self.optional})

    @property
    def file_columns(self) -> list[str]:
        """The columns to read, each once."""
        return list(dict.fromkeys(self.columns.values()))


PRESETS: Mapping[str, ColumnMapping] = {
    "handbook": ColumnMapping(
        {
            "transaction_id": "TRANSACTION_ID",
            "event_time": "TX_DATETIME",
            "user_id": "CUSTOMER_ID",
            "merchant_id": "TERMINAL_ID",
            "amount": "TX_AMOUNT",
            "is_fraud": "TX_FRAUD",
        },
        amount_unit="major",
        constants={"currency": "EUR"},
    ),
    "tidemark": ColumnMapping({name: name for name in MAPPABLE}, "minor", {}, frozenset(MAPPABLE) - set(REQUIRED)),
}


def parse_mapping(columns: str, amount_unit: str | None = None) -> ColumnMapping:
    """The mapping that ``--columns`` and ``--amount-unit`` ask for. Raises UserError when it names no such preset or field, names a
    field twice, leaves a required one out, or leaves open whether amounts are major or minor units."""
    if amount_unit not in (None, "major", "minor"):
        raise UserError(f"--amount-unit {amount_unit} is unknown; use major (12.50) or minor (1250)")
    unit = cast(AmountUnit | None, amount_unit)
    if "=" not in columns:
        return _preset(columns.strip(), unit)
    found: dict[str, str] = {}
    constants: dict[str, str] = {}
    for pair in next(csv.reader([columns], skipinitialspace=True)):
        field, _, source = (part.strip() for part in pair.partition("="))
        if not source or source == ":":
            raise UserError(f'"{pair}" in --columns is no field=column and no field=:value; for example amount=Amount,currency=:EUR')
        if field not in MAPPABLE:
            raise UserError(f'"{field}" in --columns is no field of a transaction; the fields are {", ".join(MAPPABLE)}')
        if field in found or field in constants:
            raise UserError(f'"{field}" stands twice in --columns; name one column for it')
        if not source.startswith(":"):
            found[field] = source
        elif field in _NEVER_CONSTANT:
            raise UserError(f'"{field}" can\'t be the same in every row; map it to a column with --columns {field}=…')
        else:
            constants[field] = source[1:]
    missing = [field for field in REQUIRED if field not in found and field not in constants]
    if missing:
        hint = "currency=:EUR" if missing == ["currency"] else ",".join(f"{field}=…" for field in missing)
        raise UserError(f"--columns leaves out {', '.join(missing)}; add {hint}")
    if unit is None:
        raise UserError(f'--columns maps amount to "{found["amount"]}" without its unit; add --amount-unit major (12.50) or minor (1250)')
    return ColumnMapping(found, unit, constants)


def canonical_table(table: pa.Table, mapping: ColumnMapping, source: str) -> pa.Table:
    """The rows of a file as the canonical table (schema ``CANONICAL``), in file order, label_time null.

    ``source`` names the file in errors. Raises UserError for a missing or unreadable column, and one that counts the rows that can't be
    used and names the first: either all rows are mapped or none.
    """
    require_columns(table.column_names, mapping, source)
    fields: dict[str, pa.ChunkedArray | pa.Array] = {"label_time": pa.nulls(table.num_rows, pa.int64())}
    problems: dict[str, Values] = {}
    # The currency first, for it decides how many minor units an amount has.
    for field in sorted(MAPPABLE, key=lambda name: name != "currency"):
        column = _source_column(table, mapping, field)
        if column is None:
            fields[field] = pa.nulls(table.num_rows, CANONICAL.field(field).type)
            continue
        try:
            values = _read(field, column, mapping.amount_unit, fields)
        except UnfitColumnError as unfit:
            raise UserError(f'column "{mapping.columns[field]}" of {source} {unfit}; map {field} to another with --columns') from None
        fields[field] = values.column
        if values.faults:
            problems[field] = values
    if problems:
        raise UserError(_sentence(table, mapping, source, problems))
    return pa.table([fields[name] for name in CANONICAL.names], schema=CANONICAL)


def require_columns(present: list[str], mapping: ColumnMapping, source: str) -> None:
    """Raise UserError unless each column that the mapping wants is ``present`` in the file exactly once."""
    for field, column in mapping.columns.items():
        if column not in present and len(present) == 1 and (separators := [mark for mark in ";\t|" if mark in present[0]]):
            raise UserError(f"{source} seems to be separated by {separators[0]!r}; write it with commas, and decimals with a point")
        if column not in present:
            raise UserError(f'column "{column}" is missing in {source}, which has {", ".join(present)}; map it with --columns {field}=…')
        if present.count(column) > 1:
            raise UserError(f'column "{column}" stands more than once in {source}; rename all but one')


def _preset(name: str, unit: AmountUnit | None) -> ColumnMapping:
    preset = PRESETS.get(name)
    if preset is None:
        raise UserError(f'--columns "{name}" is no preset ({", ".join(PRESETS)}) and no mapping; for example handbook, or amount=Amount,…')
    if unit not in (None, preset.amount_unit):
        raise UserError(f"--amount-unit {unit} contradicts --columns {name}, whose amounts are {preset.amount_unit} units; leave it out")
    return preset


def _read(field: str, column: pa.ChunkedArray, unit: AmountUnit, known: Mapping[str, pa.ChunkedArray]) -> Values:
    return column_values.amounts(column, unit, known["currency"]) if field == "amount" else _READERS[field](column)


def _source_column(table: pa.Table, mapping: ColumnMapping, field: str) -> pa.ChunkedArray | None:
    if field in mapping.constants:
        return pa.chunked_array([pa.repeat(pa.scalar(mapping.constants[field]), table.num_rows)])
    return table.column(mapping.columns[field]) if field in mapping.columns else None


def _sentence(table: pa.Table, mapping: ColumnMapping, source: str, problems: Mapping[str, Values]) -> str:
    """One sentence for all faults of all columns: how many rows, the commonest problems, the first row of each (counted from 1)."""
    faults = [(field, fault) for field, values in problems.items() for fault in values.faults]
    hit = np.logical_or.reduce([fault.rows for _, fault in faults])
    faults.sort(key=lambda named: -int(named[1].rows.sum()))
    named = []
    for field, fault in faults[:_PROBLEMS_NAMED]:
        count, first = int(fault.rows.sum()), int(np.argmax(fault.rows))
        column = _source_column(table, mapping, field)
        value = None if column is None else column[first].as_py()
        shown = "" if value is None or value == "" else f' ("{str(value)[:40]}")'
        name = f'"{mapping.columns[field]}"' if field in mapping.columns else f"the constant {field}"
        rows = "1 row" if count == 1 else f"{count:,} rows"
        named.append(f"{name} {fault.problem} in {rows}, first in row {first + 1:,}{shown}")
    if len(faults) > _PROBLEMS_NAMED:
        named.append(f"and {len(faults) - _PROBLEMS_NAMED} further problems")
    return f"{int(hit.sum()):,} of {table.num_rows:,} rows of {source} can't be used: {'; '.join(named)}; fix or remove these rows"
