"""Fewer legitimate rows, each counting for those that were left out: frauds are rare, and of the rest a part says nearly as much.

The weights correct the prior: probabilities learnt from the sample are those of all rows (Elkan, 2001, "The Foundations of Cost-Sensitive
Learning"; King and Zeng, 2001, on weighting).
"""

from dataclasses import replace

import numpy as np

from models.learners.xgboost_learner import thinned
from models.training_set.rows import TrainingSet


def sampled(rows: TrainingSet, every: int, seed: int = 0) -> TrainingSet:
    """All frauds and every ``every``-th other row, evenly over the rows' order, the others ``every`` times as heavy."""
    if every == 1:
        return rows
    kept = rows.take(thinned(rows.is_fraud, every, seed))
    weight = np.ones(len(kept.is_fraud)) if kept.weight is None else kept.weight
    return replace(kept, weight=np.where(kept.is_fraud, weight, weight * every))
