"""The data and choices that a training is given on the command line."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from api.cli.conventions import day_ms, day_range
from features.definitions import DAY, FEATURE_SETS, FeatureSet
from features.errors import UserError
from models.costs import Costs
from models.data_snapshot import DataSnapshot

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Transactions:
    """A canonical table with labels, which of its days are asked for (ms), what was known when, and how late labels come (ms)."""

    table: "pa.Table"
    begin: int
    end: int
    as_of: int
    labels_after: int
    snapshot: DataSnapshot


def transactions(
    file: Path, columns: str, amount_unit: str | None, begin: str | None, end: str | None, as_of: str | None, labels_after: str | None
) -> Transactions:
    """A file with a fraud column, as ``--data``, ``--columns`` and their like name it. Raises UserError if it can't be used."""
    from streams.columns import parse_mapping
    from streams.datafile import file_digest, read_transactions
    from streams.label_delay import parse_labels_after

    start_ms, end_ms = day_range(begin, end)
    as_of_ms = None if as_of is None else day_ms("--as-of", as_of)
    mapping = parse_mapping(columns, amount_unit)
    if not mapping.labelled:
        raise UserError(f"--columns {columns} names no fraud column to learn from; add is_fraud=…")
    table = read_transactions(file, mapping, labels_after)
    first, last = span(table, file)
    return Transactions(
        table,
        first if start_ms is None else start_ms,
        last + 1 if end_ms is None else end_ms,
        last if as_of_ms is None else as_of_ms,
        parse_labels_after(labels_after, mapping.labelled) or 0,  # labels that are never sent are at least in the file
        DataSnapshot((str(file),), table.num_rows, first, last, file_digest(file)),
    )


def feature_set_of(name: str) -> FeatureSet:
    """The feature set of ``--features``. Raises UserError if there is none."""
    feature_set = FEATURE_SETS.get(name)
    if feature_set is None:
        raise UserError(f"--features {name} is no feature set; say one of {', '.join(FEATURE_SETS)}")
    return feature_set


def parse_histories(text: str | None) -> tuple[int, ...]:
    """The days of ``--history-days 7,28,90``; none for None. Raises UserError for anything else."""
    if text is None:
        return ()
    parts = text.split(",")
    if not all(part.isdigit() and 0 < int(part) <= 3_650 for part in parts):
        raise UserError(f"--history-days {text} is no list of days; write it as 7,28,90")
    return tuple(sorted({int(part) for part in parts}))


def parse_costs(pairs: Sequence[str]) -> Costs:
    """The costs of ``--cost review=250 --cost margin=0.03``. Raises UserError for an unknown name or a value that makes no sense."""
    given = dict(pair.partition("=")[::2] for pair in pairs)
    try:
        return msgspec.convert(given, Costs, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise UserError(f"--cost {' --cost '.join(pairs)} can't be used: {error}; say for example --cost review=250") from None


def span(table: "pa.Table", file: Path) -> tuple[int, int]:
    """First and last event time (ms). Raises UserError if there is none."""
    import pyarrow.compute as pc

    if not table.num_rows:
        raise UserError(f"{file.name} has no transactions; give a file that has some")
    found = pc.min_max(table["event_time"])
    return found["min"].as_py(), found["max"].as_py()


def moment(milliseconds: int) -> str:
    """ISO 8601 in UTC, only the day where it is midnight."""
    at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return at.date().isoformat() if milliseconds % DAY == 0 else at.isoformat(timespec="seconds")
