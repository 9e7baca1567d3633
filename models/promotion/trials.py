"""The rows on which a candidate and the champion are compared."""

from functools import cache

from features.definitions import FeatureSet
from models.promotion.gate import ComparisonRows
from models.promotion.gate_rows import newest_matured
from models.training_set.labelled_data import LabelledData
from models.training_set.rows import TrainingSet


def trial_of(given: LabelledData, weeks: int) -> ComparisonRows:
    """The newest matured ``weeks`` of the data."""

    @cache
    def rows_of(feature_set: FeatureSet) -> TrainingSet:
        return given.rows_of(feature_set, given.begin, given.end, given.as_of)

    return ComparisonRows(
        rows_of, lambda event_time, trained_to: newest_matured(event_time, given.as_of, given.labels_after, trained_to, weeks)
    )
