"""What was served, as data to train on: from the archive itself, or from a folder that ``tidemark training-set`` has made of it."""

from collections.abc import Callable
from pathlib import Path

from features.definitions import FeatureSet
from features.errors import UserError
from features.history.moments import moment
from features.offline.storage import Storage
from models.training_set.labelled_data import DataRequest, LabelledData, Weighting, unobserved
from models.training_set.rows import TrainingSet
from streams.archive.served.parquet_folder import description_of, read_training_set
from streams.archive.served.parquet_tables import ServedArchive


def data_of_archive(store: Storage, request: DataRequest) -> LabelledData:
    """Every decision that is archived in the offline store, with its vector as served and its label. Raises UserError if there is none."""
    if request.weighting.propensity is not None:
        raise UserError(
            f"--propensity {request.weighting.propensity} can't be had from the archive, for decisions are logged without a propensity as "
            "long as there is no hold-out; leave it out (blocked transactions nobody saw are left out), or name a file with --data that "
            "has it"
        )
    archive = ServedArchive.of(store)
    delay, immature = request.label_delay, request.weighting.immature or "left-out"

    def rows_of(feature_set: FeatureSet, begin: int, end: int, as_of: int, advanced: Callable[[int], None] = unobserved) -> TrainingSet:
        rows = archive.training_set(feature_set, begin, end, as_of, delay, immature)
        advanced(len(rows.is_fraud))
        return rows

    return LabelledData(
        store.url,
        archive.first if request.begin is None else request.begin,
        archive.last + 1 if request.end is None else request.end,
        archive.last if request.as_of is None else request.as_of,
        delay,
        archive.snapshot,
        rows_of,
        Weighting(immature),
    )


def data_of_training_folder(folder: Path, request: DataRequest) -> LabelledData:
    """The folder's rows, or those of a part of its range. Raises UserError if it can't be used so."""
    described = description_of(folder)
    if request.as_of is not None or request.labels_after is not None or request.weighting.propensity is not None:
        raise UserError(
            f"the labels in {folder} are those known by {moment(described.as_of)}; leave out --as-of, --labels-after and --propensity, or "
            "make another with tidemark training-set"
        )
    if request.weighting.immature == "weighted" and described.young != "weighted":
        raise UserError(
            f"the immature transactions were left out of {folder}; leave out --immature weighted, or make another with "
            "tidemark training-set --immature weighted"
        )
    immature = request.weighting.immature or described.young

    def rows_of(feature_set: FeatureSet, begin: int, end: int, as_of: int, advanced: Callable[[int], None] = unobserved) -> TrainingSet:
        assert as_of == described.as_of  # for the folder has no other labels
        rows = read_training_set(folder, described, feature_set, begin, end, immature)
        advanced(len(rows.is_fraud))
        return rows

    return LabelledData(
        folder.name,
        described.begin if request.begin is None else request.begin,
        described.end if request.end is None else request.end,
        described.as_of,
        described.labels_after,
        described.source,
        rows_of,
        Weighting(immature),
        relabelled=False,
    )
