"""What every kind of model shares: a learner fits rows, and what it gives predicts vectors."""

from typing import Protocol

from features.arrays import Float32, Float64
from models.training_set.rows import TrainingSet


class Predictor(Protocol):
    """A fitted model. A row's answer doesn't depend on the rows beside it."""

    def log_odds(self, vectors: Float32) -> Float64:
        """Log-odds of a fraud for each row (float32, n × features, NaN = missing), finite."""
        ...

    def predict(self, vectors: Float32) -> Float64:
        """Probability of a fraud, 0–1, for each row."""
        ...


class Learner(Protocol):
    """A way to fit: equal rows and seed give an equal model."""

    def fit(self, rows: TrainingSet) -> Predictor:
        """Fit to the rows. Raises UserError if they are of one class."""
        ...
