"""A model that is ready to be registered, and the rows that it is judged by."""

from collections.abc import Mapping
from dataclasses import dataclass

import xgboost as xgb

from features.arrays import Float64
from models.evaluation.metrics import auc_roc, average_precision, log_loss
from models.learners.parameters import Parameters
from models.policy import Policy
from models.training_set.rows import TrainingSet


@dataclass(frozen=True)
class OutOfFold:
    """``rows`` with the ``probability`` (float64, 0–1) that each had from a model that was fitted without it."""

    rows: TrainingSet
    probability: Float64

    def metrics(self) -> dict[str, float]:
        """How well the probabilities fit the labels, by the names that a run has for it; weighted as the rows are. Raises ValueError if
        the rows are of one class."""
        is_fraud, weight = self.rows.is_fraud, self.rows.weight
        return {
            "validation_auc": auc_roc(is_fraud, self.probability, weight),
            "validation_ap": average_precision(is_fraud, self.probability, weight),
            "validation_logloss": log_loss(is_fraud, self.probability, weight),
        }


@dataclass(frozen=True)
class Trained:
    """A booster that knows its features' names, its policy, all parameters that made it, and how it did on the validation rows."""

    booster: xgb.Booster
    policy: Policy
    parameters: Parameters
    metrics: Mapping[str, float]
