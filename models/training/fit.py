"""What fitting gives: a booster whose thresholds are yet to be chosen."""

from dataclasses import dataclass

import xgboost as xgb

from models.learners.parameters import Parameters
from models.learners.trained import OutOfFold


@dataclass(frozen=True)
class Fit:
    """A booster that knows its features' names, all parameters that made it, and the validation rows with the probabilities of boosters
    that hadn't seen them."""

    booster: xgb.Booster
    parameters: Parameters
    out_of_fold: OutOfFold
