"""A champion of a production model's size: what it predicts matters little here, what it costs does."""

import numpy as np
import xgboost as xgb

from features.arrays import Float64
from features.definitions import FeatureSet
from features.errors import UserError
from features.history.log import HistoryLog, chunks
from models.learners.trained import Trained
from models.policy import UNREACHABLE, Policy
from models.registry import mlflow_registry
from streams.config import DeploymentConfig
from tests.benchmarks.load.workload import Workload

TREES, DEPTH = 200, 5
# Each review or block is explained, which costs far more than to score it; so their share belongs to the measurement.
FLAGGED_SHARE, BLOCKED_SHARE = 0.003, 0.001
_LEARN_FROM = 200_000


def fit(workload: Workload, feature_set: FeatureSet) -> Trained:
    """200 trees of depth 5 on the workload's first 200,000 transactions; its policy reviews and blocks at most 0.3 % of all of them.

    Raises UserError if no fraud is known among the first.
    """
    log = HistoryLog.from_table(workload.table)
    is_fraud = workload.table["is_fraud"].fill_null(False).to_numpy()[log.order]
    learnt, probability = np.empty((0, len(feature_set.names)), np.float32), []
    booster: xgb.Booster | None = None
    pending = []
    for _, vectors in chunks(log, feature_set):
        pending.append(vectors)
        if booster is None and sum(map(len, pending)) < min(_LEARN_FROM, len(log.order)):
            continue
        if booster is None:
            learnt = np.concatenate(pending)
            booster = _grow(learnt, is_fraud[: len(learnt)], feature_set)
        probability += [np.asarray(booster.inplace_predict(rows, missing=np.nan, validate_features=False)) for rows in pending]
        pending = []
    assert booster is not None
    policy = by_share(np.concatenate(probability).astype(np.float64))
    return Trained(booster, policy, {"trees": TREES, "max_depth": DEPTH}, {})


def by_share(probability: Float64) -> Policy:
    """Thresholds above which no more than the shares of these rows lie; those of one probability are decided alike."""
    falling = np.sort(probability)[::-1]

    def threshold(share: float) -> float:
        most = int(share * len(falling))
        return float(falling[:most][falling[:most] > falling[most]].min(initial=UNREACHABLE))

    review, block = threshold(FLAGGED_SHARE), threshold(BLOCKED_SHARE)
    return Policy(review_threshold=review, block_threshold=block, elevated_threshold=review, highest_threshold=block)


def register(trained: Trained, config: DeploymentConfig) -> None:
    """Makes it the champion of the deployment's registry."""
    mlflow_registry.register(trained, config.feature_set, config.mlflow)


def _grow(vectors: np.ndarray, is_fraud: np.ndarray, feature_set: FeatureSet) -> xgb.Booster:
    if not is_fraud.any():
        raise UserError(f"none of the first {len(vectors):,} transactions is a fraud to learn from; give data with known frauds")
    rows = xgb.DMatrix(vectors, is_fraud, feature_names=list(feature_set.names))
    parameters = {"objective": "binary:logistic", "tree_method": "hist", "max_depth": DEPTH, "eta": 0.1, "nthread": 2, "seed": 0}
    return xgb.train(parameters, rows, TREES)
