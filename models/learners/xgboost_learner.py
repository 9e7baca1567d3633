"""Gradient-boosted trees as a learner: histograms, one thread or several, the same bytes each time."""

from dataclasses import dataclass, field

import numpy as np
import xgboost as xgb

from features.arrays import Float32, Float64
from models.learners.booster_average import average
from models.learners.calibration import Platt, probability_of
from models.learners.parameters import Parameters
from models.training_set.classes import require_both_classes
from models.training_set.rows import TrainingSet
from models.training_set.thinning import kept_by_place, log_odds_correction


@dataclass(frozen=True)
class Trees:
    """A booster as a predictor."""

    booster: xgb.Booster

    def log_odds(self, vectors: Float32) -> Float64:
        """Log-odds of a fraud for each row (float32, n × features, NaN = missing)."""
        if not len(vectors):
            return np.empty(0, np.float64)
        rows = np.ascontiguousarray(vectors, np.float32)
        return np.asarray(self.booster.inplace_predict(rows, predict_type="margin", missing=np.nan, validate_features=False), np.float64)

    def predict(self, vectors: Float32) -> Float64:
        """Probability of a fraud, 0–1, for each row; from different log-odds different ones, unlike XGBoost's own in float32."""
        return probability_of(self.log_odds(vectors))


@dataclass(frozen=True)
class XGBoostLearner:
    """Trees over the features named, so many ``rounds`` of them, with XGBoost's ``parameters``.

    Of the legitimate rows every ``thinning``-th is learnt from, which hardly costs precision where frauds are one in a hundred and saves
    most of the time; log-odds are corrected for it (``models/training_set/thinning.py``).
    """

    feature_names: tuple[str, ...]
    rounds: int
    parameters: Parameters = field(default_factory=dict)
    thinning: int = 1
    seed: int = 0
    threads: int = 1

    def fit(self, rows: TrainingSet) -> Trees:
        """Fit to the rows. Raises UserError if they are of one class, ValueError if their vectors don't have the features named."""
        if rows.vectors.shape[1:] != (len(self.feature_names),):
            raise ValueError(f"vectors of shape {rows.vectors.shape} don't hold the {len(self.feature_names)} features named")
        require_both_classes(rows.is_fraud)
        kept = kept_by_place(rows.is_fraud, self.thinning, self.seed)
        data = xgb.QuantileDMatrix(
            rows.vectors[kept],
            rows.is_fraud[kept].astype(np.float32),
            weight=None if rows.weight is None else rows.weight[kept],
            feature_names=list(self.feature_names),
            missing=np.nan,
            nthread=self.threads,
            max_bin=int(self.parameters.get("max_bin", 256)),
        )
        parameters = {"objective": "binary:logistic", "tree_method": "hist", **self.parameters, "seed": self.seed, "nthread": self.threads}
        booster = xgb.train(parameters, data, self.rounds, verbose_eval=False)
        return Trees(booster if self.thinning == 1 else average([booster], Platt(intercept=log_odds_correction(self.thinning))))
