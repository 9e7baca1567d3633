"""What has been learnt: a model and what it says of rows it has not seen."""

from collections.abc import Mapping
from dataclasses import dataclass

import xgboost as xgb

from features.arrays import Float64
from models.policy import Policy
from models.training_set.rows import TrainingSet


@dataclass(frozen=True)
class OutOfFold:
    """``rows`` with the ``probability`` (float64, 0–1) that each had from a booster that was fitted without it."""

    rows: TrainingSet
    probability: Float64


@dataclass(frozen=True)
class Trained:
    """A booster that knows its features' names, its policy, all parameters that made it, and how it did on the validation rows.

    ``out_of_fold`` are the validation rows with the probabilities of a booster that hadn't seen them; None where there are none.
    """

    booster: xgb.Booster
    policy: Policy
    parameters: Mapping[str, str | float | int]
    metrics: Mapping[str, float]
    out_of_fold: OutOfFold | None = None
