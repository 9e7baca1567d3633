"""What the options of ``train`` and ``retrain`` ask for: what to learn from, and how."""

from pathlib import Path

from api.cli.models.choices import parse_costs, parse_histories, weighting_of
from api.cli.models.options import TrainingOptions
from api.cli.models.search_clock import search_budget
from api.cli.models.sources import data_of
from api.deployment import feature_set_of
from features.definitions import FeatureSet
from models.costs import Costs
from models.training.pipeline import TrainingPlan
from models.training_set.labelled_data import LabelledData


def data_requested(options: TrainingOptions, home: Path) -> LabelledData:
    """The data they name: a file, a training set's folder, or the archive. Raises UserError for what can't be."""
    _choices(options)  # refused before anything large is read
    weighting = weighting_of(options.immature, options.propensity)
    return data_of(
        home,
        options.data,
        options.columns,
        options.amount_unit,
        options.store,
        options.begin,
        options.end,
        options.as_of,
        options.labels_after,
        weighting,
    )


def plan_requested(options: TrainingOptions, given: LabelledData) -> TrainingPlan:
    """How to train on this data. Raises UserError for what can't be."""
    feature_set, histories, costs = _choices(options)
    return TrainingPlan(
        feature_set,
        given.begin,
        given.end,
        given.as_of,
        given.labels_after,
        options.seed,
        histories=histories,
        costs=costs,
        capacity=options.capacity,
        immature=given.weighting.immature or "left-out",
        propensity=given.weighting.propensity,
        search=None if options.search is None else search_budget(options.search, options.search_tries),
    )


def _choices(options: TrainingOptions) -> tuple[FeatureSet, tuple[int, ...], Costs]:
    return feature_set_of(options.features), parse_histories(options.history_days), parse_costs(options.cost or [])
