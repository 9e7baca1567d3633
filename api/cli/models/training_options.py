"""The options that ``train`` and ``retrain`` share: what to learn from, and how."""

from dataclasses import dataclass
from pathlib import Path

from api.cli.models.choices import parse_costs, parse_histories, weighting_of
from api.cli.models.search_clock import search_budget
from api.cli.models.sources import data_of
from api.cli.options import (
    AmountUnitOption,
    AsOfOption,
    AuthorOption,
    CapacityOption,
    ColumnsOption,
    CostOption,
    DataOption,
    FeaturesOption,
    FromOption,
    HistoryDaysOption,
    ImmatureOption,
    LabelsAfterOption,
    PropensityOption,
    SearchOption,
    SearchTriesOption,
    SeedOption,
    StoreOption,
    SummaryOption,
    ToOption,
)
from api.deployment import feature_set_of
from features.definitions import FeatureSet
from models.costs import Costs
from models.training.pipeline import TrainingPlan
from models.training_set.labelled_data import LabelledData


@dataclass(frozen=True)
class TrainingOptions:
    """As they were given; each method raises UserError for what can't be."""

    data: DataOption = None
    columns: ColumnsOption = "tidemark"
    amount_unit: AmountUnitOption = None
    store: StoreOption = None
    begin: FromOption = None
    end: ToOption = None
    as_of: AsOfOption = None
    features: FeaturesOption = None
    labels_after: LabelsAfterOption = None
    seed: SeedOption = 0
    history_days: HistoryDaysOption = "7,28,90"
    cost: CostOption = None
    capacity: CapacityOption = 0.005
    search: SearchOption = None
    search_tries: SearchTriesOption = 200
    immature: ImmatureOption = None
    propensity: PropensityOption = None
    author: AuthorOption = None
    summary: SummaryOption = None

    def given(self, home: Path) -> LabelledData:
        """The data they name: a file, a training set's folder, or the archive."""
        self._choices()  # refused before anything large is read
        weighting = weighting_of(self.immature, self.propensity)
        return data_of(
            home, self.data, self.columns, self.amount_unit, self.store, self.begin, self.end, self.as_of, self.labels_after, weighting
        )

    def plan(self, given: LabelledData) -> TrainingPlan:
        """How to train on this data."""
        feature_set, histories, costs = self._choices()
        return TrainingPlan(
            feature_set,
            given.begin,
            given.end,
            given.as_of,
            given.labels_after,
            self.seed,
            histories=histories,
            costs=costs,
            capacity=self.capacity,
            immature=given.weighting.immature or "left-out",
            propensity=given.weighting.propensity,
            search=None if self.search is None else search_budget(self.search, self.search_tries),
        )

    def _choices(self) -> tuple[FeatureSet, tuple[int, ...], Costs]:
        return feature_set_of(self.features), parse_histories(self.history_days), parse_costs(self.cost or [])
