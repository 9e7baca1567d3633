"""The data and choices that a training takes from the command line."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from features.definitions import FeatureSet
from features.errors import UserError
from features.history.columns import parse_mapping
from features.history.datafile import file_digest, read_numbers, read_transactions
from features.history.label_delay import parse_labels_after
from features.history.moments import day_ms, day_range, span
from features.offline.storage import Storage
from models.costs import Costs
from models.training.baseline_fitting import BaselineName
from models.training.mlflow_baseline import BASELINES
from models.training_set.label_maturity import IMMATURE, Immature
from models.training_set.labelled_data import UNSAID, LabelledData, Weighting, unheard
from models.training_set.rows import TrainingSet, training_set
from models.training_set.snapshot import DataSnapshot
from streams.archive.served.parquet_tables import ServedArchive


def data_of_file(
    file: Path,
    columns: str,
    amount_unit: str | None,
    begin: str | None,
    end: str | None,
    as_of: str | None,
    labels_after: str | None,
    weighting: Weighting = UNSAID,
) -> LabelledData:
    """A file with a fraud column, as ``--data``, ``--columns`` and their like name it. Raises UserError if it can't be used."""
    if weighting.immature == "weighted":
        raise UserError(
            "--immature weighted needs labels that come sooner or later, and a file's all come --labels-after their transaction; leave it "
            "out, or train from the archive"
        )
    start_ms, end_ms = day_range(begin, end)
    as_of_ms = None if as_of is None else day_ms("--as-of", as_of)
    mapping = parse_mapping(columns, amount_unit)
    if not mapping.labelled:
        raise UserError(f"--columns {columns} names no fraud column to learn from; add is_fraud=…")
    table = read_transactions(file, mapping, labels_after)
    propensity = None if weighting.propensity is None else read_numbers(file, weighting.propensity, "--propensity")
    first, last = span(table, file)
    known = last if as_of_ms is None else as_of_ms
    delay = parse_labels_after(labels_after, mapping.labelled) or 0  # labels that are never sent are at least in the file

    def rows_of(feature_set: FeatureSet, begin: int, end: int, as_of: int, advanced: Callable[[int], None] = unheard) -> TrainingSet:
        return training_set(table, feature_set, begin, end, as_of, delay, advanced, propensity)

    return LabelledData(
        file.name,
        first if start_ms is None else start_ms,
        last + 1 if end_ms is None else end_ms,
        known,
        delay,
        DataSnapshot((str(file),), table.num_rows, first, last, file_digest(file)),
        rows_of,
        Weighting("left-out", weighting.propensity),
    )


def data_of_archive(
    store: Storage, begin: str | None, end: str | None, as_of: str | None, labels_after: str | None, weighting: Weighting = UNSAID
) -> LabelledData:
    """Every decision that is archived in the offline store, with its vector as served and its label. Raises UserError if there is none."""
    if weighting.propensity is not None:
        raise UserError(
            f"--propensity {weighting.propensity} can't be had from the archive, for decisions are logged without a propensity as long as "
            "there is no hold-out; leave it out (blocked transactions that nobody saw are left out), or name a file with --data that has it"
        )

    start_ms, end_ms = day_range(begin, end)
    archive = ServedArchive.of(store)
    known = archive.last if as_of is None else day_ms("--as-of", as_of)
    delay = parse_labels_after(labels_after, True) or 0
    immature = weighting.immature or "left-out"

    def rows_of(feature_set: FeatureSet, begin: int, end: int, as_of: int, advanced: Callable[[int], None] = unheard) -> TrainingSet:
        rows = archive.training_set(feature_set, begin, end, as_of, delay, immature)
        advanced(len(rows.is_fraud))
        return rows

    return LabelledData(
        store.url,
        archive.first if start_ms is None else start_ms,
        archive.last + 1 if end_ms is None else end_ms,
        known,
        delay,
        archive.snapshot,
        rows_of,
        Weighting(immature),
    )


def weighting_of(immature: str | None, propensity: str | None) -> Weighting:
    """What ``--immature`` and ``--propensity`` ask for. Raises UserError for an unknown choice."""
    return Weighting(None if immature is None else immature_of(immature), propensity)


def immature_of(immature: str) -> Immature:
    """What ``--immature`` asks for. Raises UserError for an unknown choice."""
    found = next((choice for choice in IMMATURE if choice == immature), None)
    if found is None:
        raise UserError(f"--immature {immature} is not a choice; use {' or '.join(IMMATURE)}")
    return found


def baseline_of(model: str, search: float | None) -> BaselineName | None:
    """The baseline that ``--model`` asks for, None for xgboost. Raises UserError for anything else, or a baseline with a search."""
    if model == "xgboost":
        return None
    found = next((name for name in BASELINES if name == model), None)
    if found is None:
        raise UserError(f"--model {model} is not a learner; use xgboost, or to compare with it {' or '.join(BASELINES)}")
    if search is not None:
        raise UserError(f"--search looks for parameters of xgboost alone; leave it out with --model {model}")
    return found


def parse_histories(text: str) -> tuple[int, ...]:
    """The days of ``--history-days 7,28,90``; none for ``all``. Raises UserError for anything else."""
    if text == "all":
        return ()
    parts = text.split(",")
    if not all(part.isdigit() and 0 < int(part) <= 3_650 for part in parts):
        raise UserError(f"--history-days {text} is not a list of days; write it as 7,28,90, or all")
    return tuple(sorted({int(part) for part in parts}))


def parse_costs(pairs: Sequence[str]) -> Costs:
    """The costs of ``--cost review=250 --cost margin=0.03``. Raises UserError for an unknown name or a value that makes no sense."""
    given = dict(pair.partition("=")[::2] for pair in pairs)
    try:
        return msgspec.convert(given, Costs, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise UserError(f"--cost {' --cost '.join(pairs)} can't be used: {error}; write it as --cost review=250") from None
