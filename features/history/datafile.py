"""Transaction files: CSV and Parquet in, Parquet out. An edge; what the columns mean is settled in ``features/history/columns.py``."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from features.errors import UserError
from features.history.columns import ColumnMapping, canonical_table, require_columns
from features.history.label_delay import parse_labels_after, with_label_times

_PARQUET_MAGIC = b"PAR1"
_MADE_BY = {b"made_by": b"tidemark"}


def read_transactions(path: Path, mapping: ColumnMapping, labels_after: str | None = None, currency: str | None = None) -> pa.Table:
    """A CSV or Parquet file as the canonical table, in file order, with label_time set as ``--labels-after`` asks (None: the default).

    Only the mapped columns are read; ids in a CSV file are read as text, so leading zeros stay. Raises UserError, naming the column or row
    and the fix, if the file can't be read, any row can't be used, or any amount is not in ``currency`` (None: in whatever it is).
    """
    if not path.is_file():
        what = f"{path} is a folder" if path.is_dir() else f"there is no file {path}"
        raise UserError(f"{what}; name a CSV or Parquet file")
    try:
        present = _columns_of(path)
        mapping = mapping.fitted(present)
        require_columns(present, mapping, path.name)
        delay = parse_labels_after(labels_after, mapping.labelled)
        table = _read_parquet(path, mapping) if _is_parquet(path) else _read_csv(path, mapping)
    except pa.ArrowInvalid as invalid:
        raise UserError(
            f"{path.name} can't be read: {_first_line(invalid)}; give an undamaged CSV (UTF-8, with header) or Parquet file"
        ) from None
    except OSError as failure:
        raise UserError(f"{path} can't be read: {_first_line(failure)}; give a readable CSV or Parquet file") from None
    canonical = canonical_table(table, mapping, path.name)
    if currency is not None:
        _require_currency(canonical["currency"], currency, path.name)
    return with_label_times(canonical, delay)


def read_numbers(path: Path, column: str, option: str) -> npt.NDArray[np.float64]:
    """One column of numbers of a file that ``read_transactions`` has read, in file order, NaN where there is none; ``option`` named it.

    Raises UserError if there is no such column, or it holds anything else.
    """
    try:
        if _is_parquet(path):
            with pq.ParquetFile(path) as file:
                found = file.read(columns=[column]) if column in file.schema_arrow.names else None
        else:
            with pa_csv.open_csv(path) as head:
                present = column in head.schema.names
            options = pa_csv.ConvertOptions(include_columns=[column], null_values=[""])
            found = pa_csv.read_csv(path, parse_options=_skipping([]), convert_options=options) if present else None
        if found is not None:
            return np.asarray(found[column].cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as invalid:
        raise UserError(
            f'column "{column}" of {path.name} holds more than numbers ({_first_line(invalid)}); name another with {option}'
        ) from None
    raise UserError(f'column "{column}" is missing in {path.name}; name one that it has with {option}, or leave that out')


def file_digest(path: Path) -> str:
    """Hex SHA-256 of the file's bytes, as ``sha256sum`` prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_transactions(path: Path, chunks: Iterable[pa.Table], schema: pa.Schema) -> int:
    """Write tables of one ``schema`` as one Parquet file (zstd) and return the number of rows. The same tables give the same bytes. The
    file appears under its name only when it is whole; an interrupted write leaves nothing behind. Raises UserError if it can't be written.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    rows = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(unfinished, schema.with_metadata(_MADE_BY), compression="zstd") as writer:
            for chunk in chunks:
                writer.write_table(chunk)
                rows += chunk.num_rows
        unfinished.replace(path)
    except OSError as failure:
        raise UserError(f"{path} can't be written: {_first_line(failure)}; name a file where you may write") from None
    finally:
        if unfinished.exists():
            unfinished.unlink()
    return rows


def is_ours(path: Path) -> bool:
    """Whether ``write_transactions`` has written that file, since version 0.3.0. Raises OSError if it can't be read."""
    if not _is_parquet(path):
        return False
    try:
        return _MADE_BY.items() <= (pq.read_schema(path).metadata or {}).items()
    except pa.ArrowException:
        return False


def _require_currency(column: pa.ChunkedArray, currency: str, name: str) -> None:
    if others := sorted(set(pc.unique(column).to_pylist()) - {currency}):
        raise UserError(
            f"{name} has amounts in {' and '.join(others[:3])}, but this deployment settles in {currency}; convert them, or name the right "
            "currency in --columns (such as currency=:EUR), or, where there is no deployment, in TIDEMARK_CURRENCY"
        )


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC


def _columns_of(path: Path) -> list[str]:
    if _is_parquet(path):
        return list(pq.read_schema(path).names)
    # One thread, which has ended when the file is closed.
    with pa_csv.open_csv(path, read_options=pa_csv.ReadOptions(use_threads=False), parse_options=_skipping([])) as head:
        return list(head.schema.names)


def _read_parquet(path: Path, mapping: ColumnMapping) -> pa.Table:
    with pq.ParquetFile(path) as file:
        return file.read(columns=mapping.file_columns)


def _read_csv(path: Path, mapping: ColumnMapping) -> pa.Table:
    """Every value as text, whatever it looks like; empty ones null."""
    ragged: list[pa_csv.InvalidRow] = []
    as_text = pa_csv.ConvertOptions(
        include_columns=mapping.file_columns,
        column_types={name: pa.string() for name in mapping.file_columns},
        null_values=[""],
        strings_can_be_null=True,
    )
    table = pa_csv.read_csv(path, parse_options=_skipping(ragged), convert_options=as_text)
    if ragged:
        ragged.clear()
        # One thread, for only then a row knows its number.
        pa_csv.read_csv(path, read_options=pa_csv.ReadOptions(use_threads=False), parse_options=_skipping(ragged), convert_options=as_text)
        first = ragged[0]
        raise UserError(
            f"{len(ragged):,} of {table.num_rows + len(ragged):,} rows of {path.name} can't be used: the header has "
            f"{first.expected_columns} columns, but row {first.number - 1:,} has {first.actual_columns}; fix or remove these rows"
        )
    return table


def _skipping(ragged: list[pa_csv.InvalidRow]) -> pa_csv.ParseOptions:
    """Quoted values may hold line breaks; rows of the wrong length are gathered."""

    def skip(row: pa_csv.InvalidRow) -> str:
        ragged.append(row)
        return "skip"

    return pa_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
