"""Scoring: vectors in, probabilities and what the policy makes of them out.

A row's probability doesn't depend on the rows beside it: one at a time or a thousand at once give the same bits, so the stream, the API and
a backtest agree.
"""

from dataclasses import dataclass

import numpy as np

from features.arrays import Float32, Float64, Int8
from models.policy import Policy
from models.xgboost_import import xgb

APPROVE, REVIEW, BLOCK = 0, 1, 2
NORMAL, ELEVATED, HIGHEST = 0, 1, 2

_HIGHEST_SCORE = 99


@dataclass(frozen=True, slots=True)
class Scores:
    """One entry a row: probability (float64, 0–1), risk_score (int8, 0–99), decision (APPROVE, REVIEW, BLOCK) and risk_level (NORMAL,
    ELEVATED, HIGHEST), both int8."""

    probability: Float64
    risk_score: Int8
    decision: Int8
    risk_level: Int8


@dataclass(frozen=True)
class Scorer:
    """A model that serves: its trees, its policy, and the names and digests that every decision states.

    The booster belongs to the scorer from here on; it predicts on one thread, for the workers are as many as the cores. Threads may share
    it. Raises ValueError if the booster wants other features than ``feature_names``.
    """

    booster: xgb.Booster
    policy: Policy
    feature_names: tuple[str, ...]
    model_name: str
    model_version: str
    model_digest: str
    features_digest: str

    def __post_init__(self) -> None:
        trained_on = tuple(self.booster.feature_names or ())
        if difference := feature_difference(trained_on, self.feature_names):
            raise ValueError(
                f"the model was trained on {len(trained_on)} features that are not the {len(self.feature_names)} named: {difference}"
            )
        self.booster.set_param({"nthread": 1})
        # The first prediction settles the booster's configuration; only those after it are safe to share between threads.
        self._probability(np.zeros((1, len(self.feature_names)), np.float32))

    def score(self, vectors: Float32) -> Scores:
        """Scores of the rows (float32, n × len(feature_names), NaN = missing). Raises ValueError for another width."""
        self.require_width(vectors)
        return self.judged(self._probability(vectors))

    def judged(self, probability: Float64) -> Scores:
        """What the policy makes of these probabilities."""
        policy = self.policy
        decision = (probability >= policy.review_threshold).astype(np.int8) + (probability >= policy.block_threshold)
        level = (probability >= policy.elevated_threshold).astype(np.int8) + (probability >= policy.highest_threshold)
        risk_score = np.minimum(_HIGHEST_SCORE, np.floor(100 * probability)).astype(np.int8)
        return Scores(probability, risk_score, decision.astype(np.int8), level.astype(np.int8))

    def require_width(self, vectors: Float32) -> None:
        """Raises ValueError unless the rows hold one value for each feature."""
        expected = len(self.feature_names)
        if vectors.ndim != 2 or vectors.shape[1] != expected:
            title = f"model {self.model_name} {self.model_version}"
            raise ValueError(f"{title} expects rows of {expected} features, got an array of shape {vectors.shape}")

    def _probability(self, vectors: Float32) -> Float64:
        if not len(vectors):
            return np.empty(0, np.float64)
        rows = np.ascontiguousarray(vectors, np.float32)
        return np.asarray(self.booster.inplace_predict(rows, missing=np.nan, validate_features=False)).astype(np.float64)


def feature_difference(trained_on: tuple[str, ...], given: tuple[str, ...]) -> str:
    """How the features given differ from those a model was trained on, by name; empty if they don't, in order and number."""
    if trained_on == given:
        return ""
    gone, new = [name for name in trained_on if name not in given], [name for name in given if name not in trained_on]
    differences = [f"{_some(gone)} no longer computed"] * bool(gone) + [f"{_some(new)} not known to the model"] * bool(new)
    if differences:
        return ", ".join(differences)
    at = next((i for i, (one, other) in enumerate(zip(trained_on, given, strict=False)) if one != other), min(len(trained_on), len(given)))
    return f"the order differs, from {trained_on[at]} on" if at < len(trained_on) else f"{len(given)} instead of {len(trained_on)}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
