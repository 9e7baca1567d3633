"""A canonical table with a fraud column, as data to train on."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.definitions import FeatureSet
from features.errors import UserError
from models.training_set.labelled_data import DataRequest, LabelledData, Weighting, unobserved
from models.training_set.rows import TrainingSet, training_set
from models.training_set.snapshot import DataSnapshot


def require_one_delay(request: DataRequest) -> None:
    """Raises UserError if immature rows are asked for: where all labels come with one delay, nothing is known of them."""
    if request.weighting.immature == "weighted":
        raise UserError(
            "--immature weighted needs labels that come sooner or later, and a file's all come --labels-after their transaction; leave it "
            "out, or train from the archive"
        )


def labelled_table(
    name: str, table: pa.Table, snapshot: DataSnapshot, request: DataRequest, propensity: npt.NDArray[np.float64] | None = None
) -> LabelledData:
    """The transactions of a table, of which ``snapshot`` holds the first and last event time, with the ``propensity`` of each (see
    ``training_set``)."""
    require_one_delay(request)
    delay = request.label_delay

    def rows_of(feature_set: FeatureSet, begin: int, end: int, as_of: int, advanced: Callable[[int], None] = unobserved) -> TrainingSet:
        return training_set(table, feature_set, begin, end, as_of, delay, advanced, propensity)

    return LabelledData(
        name,
        snapshot.first if request.begin is None else request.begin,
        snapshot.last + 1 if request.end is None else request.end,
        snapshot.last if request.as_of is None else request.as_of,
        delay,
        snapshot,
        rows_of,
        Weighting("left-out", request.weighting.propensity),
    )
