"""Whichever data a command names: a file, a folder that ``tidemark training-set`` has made, or else the archive."""

from pathlib import Path

from api.cli.models.choices import data_of_archive, data_of_file
from api.cli.models.folder_source import data_of_training_folder
from api.offline_store import offline_store
from models.training_set.labelled_data import UNSAID, LabelledData, Weighting
from streams.archive.served.parquet_folder import is_training_folder
from streams.archive.served.parquet_tables import ServedArchive


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
    weighting: Weighting = UNSAID,
) -> LabelledData:
    """The file or folder if there is one, else the archive. Raises UserError if what is named can't be used."""
    if data is None:
        return data_of_archive(offline_store(home, store), begin, end, as_of, labels_after, weighting)
    if is_training_folder(data):
        return data_of_training_folder(data, begin, end, as_of, labels_after, weighting)
    return data_of_file(data, columns, amount_unit, begin, end, as_of, labels_after, weighting)


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
