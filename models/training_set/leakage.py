"""A feature that separates frauds almost perfectly by itself has seen the label, for no honest one does."""

import numpy as np

from features.errors import UserError
from models.evaluation.metrics import auc_roc
from models.training_set.rows import TrainingSet

SUSPICIOUS_AUC = 0.999
_MOST_OTHERS = 20_000
# Among fewer frauds a feature may be that good by luck.
_FEWEST_FRAUDS = 30


def require_no_leak(rows: TrainingSet, names: tuple[str, ...]) -> None:
    """Raises UserError, naming the feature, if one alone ranks the frauds before the others, or behind them, almost without fault."""
    if rows.frauds < _FEWEST_FRAUDS:
        return
    others = np.flatnonzero(~rows.is_fraud)
    step = max(1, len(others) // _MOST_OTHERS)
    some = np.sort(np.concatenate([np.flatnonzero(rows.is_fraud), others[::step]]))
    is_fraud = rows.is_fraud[some]
    if is_fraud.all():
        return
    for place, name in enumerate(names):
        values = rows.vectors[some, place].astype(np.float64)
        missing = np.isnan(values)
        # Being missing may be what gives it away.
        values[missing] = values[~missing].min(initial=0.0) - 1.0
        alone = auc_roc(is_fraud, values)
        if max(alone, 1 - alone) >= SUSPICIOUS_AUC:
            raise UserError(
                f"the feature {name} alone separates frauds from the rest (AUC {max(alone, 1 - alone):.4f}), so it must know the label; "
                "fix where it comes from, or map another label column with --columns is_fraud=…"
            )
