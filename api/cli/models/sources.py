"""Whichever data a command names: a file, a folder that ``tidemark training-set`` has made, or else the archive."""

from dataclasses import replace
from pathlib import Path

from api.deployment import settlement_currency
from api.offline_store import archive_store, offline_store
from features.errors import UserError
from features.history.columns import parse_mapping
from features.history.datafile import file_digest, read_numbers, read_transactions
from features.history.label_delay import parse_labels_after
from features.history.moments import day_ms, day_range, span
from models.training_set.labelled_data import USUAL_WEIGHTING, DataRequest, LabelledData, Weighting
from models.training_set.labelled_table import labelled_table, require_one_delay
from models.training_set.snapshot import DataSnapshot
from streams.archive.served.parquet_folder import is_training_folder
from streams.archive.served.parquet_labelled_data import data_of_archive, data_of_training_folder
from streams.archive.served.parquet_tables import ServedArchive
from streams.replay.repeats import each_once


def data_of(
    home: Path,
    data: Path | None,
    columns: str,
    amount_unit: str | None,
    store: str | None,
    begin: str | None,
    end: str | None,
    as_of: str | None,
    labels_after: str | None,
    weighting: Weighting = USUAL_WEIGHTING,
) -> LabelledData:
    """The file or folder if there is one, else the archive. Raises UserError if what is named can't be used."""
    request = DataRequest(
        *day_range(begin, end),
        None if as_of is None else day_ms("--as-of", as_of),
        # Labels that are never sent are at least in the data.
        None if labels_after is None else parse_labels_after(labels_after, True) or 0,
        weighting,
    )
    if data is None:
        return data_of_archive(archive_store(home, store), request)
    if is_training_folder(data):
        return data_of_training_folder(data, request)
    return _data_of_file(data, columns, amount_unit, labels_after, request)


def data_if_any(
    home: Path,
    data: Path | None,
    columns: str,
    amount_unit: str | None,
    store: str | None,
    as_of: str | None,
    labels_after: str | None,
) -> LabelledData | None:
    """The same, but None where nothing is named and the home has no archive."""
    if data is None and store is None and not ServedArchive.exists(offline_store(home)):
        return None
    return data_of(home, data, columns, amount_unit, store, None, None, as_of, labels_after)


def _data_of_file(file: Path, columns: str, amount_unit: str | None, labels_after: str | None, request: DataRequest) -> LabelledData:
    """A file with a fraud column, as ``--data``, ``--columns`` and their like name it."""
    require_one_delay(request)  # before anything large is read
    mapping = parse_mapping(columns, amount_unit)
    if not mapping.labelled:
        raise UserError(f"--columns {columns} names no fraud column to learn from; add is_fraud=…")
    table = read_transactions(file, mapping, labels_after, settlement_currency())
    if table["is_fraud"].null_count == len(table):
        raise UserError(f"{file.name} has no fraud column to learn from; name it with --columns is_fraud=…")
    once = each_once(table)
    column = request.weighting.propensity
    propensity = None if column is None else read_numbers(file, column, "--propensity")[once.kept]
    snapshot = DataSnapshot((str(file),), table.num_rows, *span(table, file), file_digest(file))
    data = labelled_table(file.name, once.table, snapshot, request, propensity)
    return replace(data, duplicates=once.duplicates, conflicts=once.conflicts)
