"""A training set in a folder: Parquet files of rows as served, and ``training_set.json``, written last, which describes them."""

import re
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.definitions import FeatureSet
from features.errors import UserError
from models.training_set.label_maturity import Immature
from models.training_set.rows import TrainingSet
from models.training_set.snapshot import DataSnapshot
from streams.archive.served.rows import ORDER, ROW_COLUMNS, ServedRows

DESCRIPTION = "training_set.json"
# With the marks that Spark puts beside its files.
_OWN = re.compile(r"\.?(training_set\.json|part-[-.\w]+\.parquet|_SUCCESS)(\.crc)?")


class FolderDescription(msgspec.Struct, frozen=True):
    """What the rows are: of which decisions (``begin`` to before ``end``), with labels known ``as_of``, ``labels_after`` their transaction
    (all ms), as vectors of which features, thinned how (``models/training_set/thinning.py``); ``source`` is what they were made from.
    ``young`` is what became of immature decisions, ``immature`` and ``unlabelled`` how many were left out."""

    feature_set: str
    features_digest: str
    begin: int
    end: int
    as_of: int
    labels_after: int
    keep_every: int
    whole_from: int
    immature: int
    unlabelled: int
    rows: int
    source: DataSnapshot
    young: Immature = "left-out"


def clear(folder: Path) -> None:
    """Removes what a training set, whole or not, left there. Raises UserError, and removes nothing, if there is anything else."""
    if not folder.exists():
        return
    if not folder.is_dir() or not all(_OWN.fullmatch(file.name) and file.is_file() for file in folder.iterdir()):
        raise UserError(f"{folder} holds other things than a training set; name a new folder, or empty it")
    # First what makes it count.
    (folder / DESCRIPTION).unlink(missing_ok=True)
    for file in folder.iterdir():
        file.unlink()


def write_rows(folder: Path, rows: pa.Table) -> None:
    """The rows as the one Parquet file of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, folder / "part-00000.parquet", compression="zstd")


def describe(folder: Path, described: FolderDescription) -> None:
    """Makes the folder whole."""
    unfinished = folder / f".{DESCRIPTION}"
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(described), indent=2) + b"\n")
    unfinished.replace(folder / DESCRIPTION)


def is_training_folder(folder: Path) -> bool:
    """Whether a whole training set lies there."""
    return (folder / DESCRIPTION).is_file()


def description_of(folder: Path) -> FolderDescription:
    """What lies there. Raises UserError if that can't be read."""
    try:
        return msgspec.json.decode((folder / DESCRIPTION).read_bytes(), type=FolderDescription)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{folder / DESCRIPTION} can't be read ({error}); make the folder anew with tidemark training-set") from None


def read_training_set(
    folder: Path, described: FolderDescription, feature_set: FeatureSet, begin: int, end: int, immature: Immature
) -> TrainingSet:
    """The rows from ``begin`` (inclusive) to ``end`` (exclusive), in order, the ``immature`` ones too if they are to be weighted and are
    there. Raises UserError if there are none, their features are others, or files are missing."""
    if feature_set.digest != described.features_digest:
        same = "as this program defines it no longer" if feature_set.name == described.feature_set else f"of {described.feature_set}"
        raise UserError(
            f"{folder} holds vectors {same}, not {feature_set.name}; use --features {described.feature_set}, or make it anew with "
            "tidemark training-set"
        )
    wanted = [*ROW_COLUMNS, *feature_set.names]
    try:
        rows = pa.concat_tables(pq.read_table(file) for file in sorted(folder.glob("*.parquet")))
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{folder} can't be read ({str(error).splitlines()[0]}); make it anew with tidemark training-set") from None
    if missing := [name for name in wanted if name not in rows.column_names]:
        raise UserError(f"{folder} has no column {', '.join(missing[:3])}; make it anew with tidemark training-set")
    rows = rows.select(wanted)
    if len(rows) != described.rows:
        raise UserError(
            f"{folder} has {len(rows):,} rows where {DESCRIPTION} says {described.rows:,}; make it anew with tidemark training-set"
        )
    rows = rows.filter(pc.and_(pc.greater_equal(rows["event_time"], begin), pc.less(rows["event_time"], end)))
    if not len(rows):
        raise UserError("there is no transaction from --from to --to; give a range that the training set covers")
    ordered = rows.sort_by([(name, "ascending") for name in ORDER])
    mature = pc.less_equal(ordered["event_time"], described.as_of - described.labels_after)
    kept = ordered if immature == "weighted" else ordered.filter(mature)
    return ServedRows(kept, described.immature + len(ordered) - len(kept), described.unlabelled).training_set(feature_set.names)
