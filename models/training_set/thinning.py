"""Fewer legitimate rows, each counting for those that were left out: frauds are rare, and of the rest a part says nearly as much.

The weights correct the prior: probabilities learnt from the sample are those of all rows (Elkan, 2001, "The Foundations of Cost-Sensitive
Learning"; King and Zeng, 2001, on weighting).
"""

from dataclasses import replace

import numpy as np

from features.errors import UserError
from models.training_set.rows import TrainingSet


def sampled(rows: TrainingSet, every: int, seed: int = 0) -> TrainingSet:
    """All frauds and every ``every``-th other row, evenly over the rows' order, the others ``every`` times as heavy."""
    if every == 1:
        return rows
    kept = rows.take(thinned(rows.is_fraud, every, seed))
    weight = np.ones(len(kept.is_fraud)) if kept.weight is None else kept.weight
    return replace(kept, weight=np.where(kept.is_fraud, weight, weight * every))


def thinned(is_fraud: np.ndarray, every: int, seed: int = 0) -> np.ndarray:
    """Numbers of the rows that stay: every fraud, and of the others every ``every``-th, evenly over time; ``seed`` says which one first."""
    stays = is_fraud.copy()
    stays[np.flatnonzero(~is_fraud)[seed % every :: every]] = True
    return np.flatnonzero(stays)


def require_both_classes(rows: TrainingSet) -> None:
    """Raises UserError unless the rows hold frauds and others."""
    if not rows.frauds:
        raise UserError(f"none of the {len(rows.is_fraud):,} transactions to learn from is a fraud; give a longer history")
    if rows.frauds == len(rows.is_fraud):
        raise UserError(f"every one of the {len(rows.is_fraud):,} transactions to learn from is a fraud; give the legitimate ones too")
