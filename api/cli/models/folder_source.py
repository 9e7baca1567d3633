"""A training set that ``tidemark training-set`` has made, as data to train on."""

from collections.abc import Callable
from pathlib import Path

from features.definitions import FeatureSet
from features.errors import UserError
from features.history.moments import day_range, moment
from models.training_set.labelled_data import UNSAID, LabelledData, Weighting
from models.training_set.rows import TrainingSet
from streams.archive.served.parquet_folder import description_of, read_training_set


def data_of_training_folder(
    folder: Path, begin: str | None, end: str | None, as_of: str | None, labels_after: str | None, weighting: Weighting = UNSAID
) -> LabelledData:
    """The folder's rows, or those of a part of its range. Raises UserError if it can't be used so."""
    described = description_of(folder)
    if as_of is not None or labels_after is not None or weighting.propensity is not None:
        raise UserError(
            f"the labels in {folder} are those known by {moment(described.as_of)}; leave out --as-of, --labels-after and --propensity, or "
            "make another with tidemark training-set"
        )
    if weighting.immature == "weighted" and described.young != "weighted":
        raise UserError(
            f"the immature transactions were left out of {folder}; leave out --immature weighted, or make another with "
            "tidemark training-set --immature weighted"
        )
    immature = weighting.immature or described.young
    start_ms, end_ms = day_range(begin, end)

    def rows_of(
        feature_set: FeatureSet, begin: int, end: int, as_of: int, advanced: Callable[[int], None] = lambda _rows: None
    ) -> TrainingSet:
        assert as_of == described.as_of  # for the folder has no other labels
        rows = read_training_set(folder, described, feature_set, begin, end, immature)
        advanced(len(rows.is_fraud))
        return rows

    return LabelledData(
        folder.name,
        described.begin if start_ms is None else start_ms,
        described.end if end_ms is None else end_ms,
        described.as_of,
        described.labels_after,
        described.source,
        rows_of,
        Weighting(immature),
        relabelled=False,
    )
