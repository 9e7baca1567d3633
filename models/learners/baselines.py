"""What boosted trees must be better than: scikit-learn's logistic regression and random forest, as learners."""

from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from features.arrays import Float32, Float64
from models.learners.calibration import log_odds_of
from models.training_set.classes import require_both_classes
from models.training_set.rows import TrainingSet


@dataclass(frozen=True)
class FittedBaseline:
    """A scikit-learn pipeline as a predictor. Log-odds stay finite: a probability of 0 counts as 1e-15, of 1 as that less."""

    pipeline: Pipeline

    def log_odds(self, vectors: Float32) -> Float64:
        """Log-odds of a fraud for each row (float32, n × features, NaN = missing), finite."""
        return log_odds_of(self.predict(vectors))

    def predict(self, vectors: Float32) -> Float64:
        """Probability of a fraud, 0–1, for each row."""
        if not len(vectors):
            return np.empty(0, np.float64)
        return np.asarray(self.pipeline.predict_proba(vectors)[:, 1], np.float64)

    def importance(self, features: int) -> Float64:
        """Of each of the features its share (0–1): of the absolute weights on scaled features, or of what a forest's splits gained."""
        last = self.pipeline[-1]
        each = np.abs(last.coef_[0]) if isinstance(last, LogisticRegression) else last.feature_importances_
        # After the features come indicators of which were missing.
        own = np.asarray(each[:features], np.float64)
        return own / max(float(own.sum()), 1e-12)


@dataclass(frozen=True)
class LogisticRegressionLearner:
    """Logistic regression on logarithms of the features, for counts, amounts and ages have long tails; scaled, medians for what is missing,
    and whether it was missing as a feature of its own. ``regularisation`` is the inverse of scikit-learn's C."""

    regularisation: float = 1.0

    def fit(self, rows: TrainingSet) -> FittedBaseline:
        """Fit to the rows. Raises UserError if they are of one class."""
        require_both_classes(rows.is_fraud)
        pipeline = make_pipeline(
            FunctionTransformer(_signed_logarithm),
            SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
            StandardScaler(),
            LogisticRegression(C=1 / self.regularisation, max_iter=500),
        )
        return FittedBaseline(pipeline.fit(rows.vectors, rows.is_fraud, logisticregression__sample_weight=rows.weight))


@dataclass(frozen=True)
class RandomForestLearner:
    """A random forest; medians for what is missing. Of more rows than ``most_rows`` each tree learns from so many, drawn at random, as all
    would take minutes. The same rows and ``seed`` give the same forest, on any number of ``threads`` (-1: as many as there are cores)."""

    trees: int = 100
    least_in_leaf: int = 5
    most_rows: int = 20_000
    seed: int = 0
    threads: int = -1

    def fit(self, rows: TrainingSet) -> FittedBaseline:
        """Fit to the rows. Raises UserError if they are of one class."""
        require_both_classes(rows.is_fraud)
        forest = RandomForestClassifier(
            self.trees,
            min_samples_leaf=self.least_in_leaf,
            max_samples=min(self.most_rows, len(rows.is_fraud)),
            random_state=self.seed,
            n_jobs=self.threads,
        )
        pipeline = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), forest)
        pipeline.fit(rows.vectors, rows.is_fraud, randomforestclassifier__sample_weight=rows.weight)
        # Several threads would add up the trees' votes in another order each time.
        forest.n_jobs = 1
        return FittedBaseline(pipeline)


def _signed_logarithm(vectors: Float32) -> Float64:
    return np.asarray(np.sign(vectors) * np.log1p(np.abs(vectors)), np.float64)
