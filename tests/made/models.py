"""Models, rows and verdicts for tests: small, seeded, quick."""

from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import xgboost as xgb

from features.arrays import Float32
from features.definitions import DAY, FEATURE_SETS, FeatureSet
from models.policy import Policy
from models.promotion.mlflow_audits import AuditVerdict
from models.scoring import Scorer
from models.training_set.rows import TrainingSet

V1 = FEATURE_SETS["fraud_v1"]
POLICY = Policy(review_threshold=0.5, block_threshold=0.9, elevated_threshold=0.3, highest_threshold=0.8)


def rows(n: int, seed: int = 0, feature_set: FeatureSet = V1) -> Float32:
    """Vectors such as might come: positive, of very different size, a tenth of them missing."""
    rng = np.random.default_rng(seed)
    made = rng.lognormal(3, 3, size=(n, len(feature_set.names))).astype(np.float32)
    made[rng.random(made.shape) < 0.1] = np.nan
    return made


def learnable(n: int = 3_000, seed: int = 0) -> TrainingSet:
    """Three days of transactions, about one in ten a fraud that the first feature gives away."""
    rng = np.random.default_rng(seed)
    vectors = rows(n, seed)
    is_fraud = np.nan_to_num(vectors[:, 0]) * rng.lognormal(0, 0.3, n) > 900
    return TrainingSet(vectors, is_fraud, np.sort(rng.integers(0, 3 * DAY, n)), rng.integers(0, 100_000, n))


@cache
def booster(seed: int = 0) -> xgb.Booster:
    """Eighty trees with several to a round, so that the order in which leaves are summed could show."""
    known = learnable(seed=seed)
    data = xgb.DMatrix(known.vectors, known.is_fraud, feature_names=list(V1.names))
    parameters = {"objective": "binary:logistic", "max_depth": 5, "num_parallel_tree": 2, "subsample": 0.7, "nthread": 1, "seed": seed}
    return xgb.train(parameters, data, 40)


def scorer(policy: Policy = POLICY) -> Scorer:
    """A scorer of its own booster."""
    return Scorer(booster().copy(), policy, V1.names, "tidemark", "1", "0" * 64, V1.digest)


def passed_audit(ago: timedelta = timedelta(minutes=1), audited: int = 1_000) -> AuditVerdict:
    """The verdict of an audit that found nothing wrong."""
    return AuditVerdict(True, audited, 0, (datetime.now(UTC) - ago).isoformat(timespec="seconds"))
