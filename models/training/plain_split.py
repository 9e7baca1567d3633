"""The plain split, where past weeks can't choose: rows in, a booster out, the latest quarter kept for validation. Equal rows and seed give
an equal model, byte for byte."""

import numpy as np
import xgboost as xgb

from features.arrays import Float64
from models.learners.parameters import Parameters
from models.learners.trained import OutOfFold
from models.training.fit import Fit
from models.training_set.classes import require_both_classes, require_both_classes_in_each
from models.training_set.rows import TrainingSet
from models.training_set.splits import validation_begin

# Settled by hand on nine earlier weeks of the handbook's data (training from 2018-05-09 … 2018-07-04), before the published week was ever
# scored. Shallow trees that see few features at a time, for a week holds some 600 frauds of three kinds.
PLAIN_PARAMETERS: Parameters = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "max_depth": 4,
    "eta": 0.05,
    "subsample": 0.8,
    "colsample_bynode": 0.3,
    "min_child_weight": 2,
}
MOST_ROUNDS = 500
PATIENCE = 50
VALIDATION_SHARE = 0.25
_THREADS = 1


def fit_plain_split(
    rows: TrainingSet,
    feature_names: tuple[str, ...],
    *,
    seed: int = 0,
    immature: TrainingSet | None = None,
    parameters: Parameters = PLAIN_PARAMETERS,
) -> Fit:
    """Fit gradient-boosted trees (XGBoost, hist) to the rows.

    The latest quarter of them settles how many trees are grown; the final booster is then grown on all rows, and on the weighted
    ``immature`` ones after them, if any. Raises UserError if either part is of one class.
    """
    if rows.vectors.shape[1:] != (len(feature_names),):
        raise ValueError(f"vectors of shape {rows.vectors.shape} don't hold the {len(feature_names)} features named")
    held_out = rows.event_time >= validation_begin(rows.event_time, VALIDATION_SHARE)
    fitting, validation = rows.where(~held_out), rows.where(held_out)
    require_both_parts(rows, fitting, validation)

    parameters = {"objective": "binary:logistic", "tree_method": "hist", **parameters, "seed": seed, "nthread": _THREADS}
    known = _matrix(fitting, feature_names)
    trial = xgb.train(
        dict(parameters),
        known,
        MOST_ROUNDS,
        evals=[(_matrix(validation, feature_names, cuts_of=known), "validation")],
        early_stopping_rounds=PATIENCE,
        verbose_eval=False,
    )
    rounds = trial.best_iteration + 1
    learnt = rows if immature is None else rows.followed_by(immature)
    booster = xgb.train(dict(parameters), _matrix(learnt, feature_names), rounds, verbose_eval=False)
    return Fit(
        booster,
        {**parameters, "rounds": rounds, "validation_share": VALIDATION_SHARE},
        OutOfFold(validation, _probability(trial, validation, rounds)),
    )


def require_both_parts(rows: TrainingSet, fitting: TrainingSet, validation: TrainingSet) -> None:
    """Raises UserError unless both parts of the rows hold frauds and others."""
    require_both_classes(rows.is_fraud)
    require_both_classes_in_each(
        {
            "the range's earlier part, for fitting,": fitting.is_fraud,
            "the range's latest part, for validation,": validation.is_fraud,
        }
    )


def _matrix(rows: TrainingSet, feature_names: tuple[str, ...], cuts_of: xgb.QuantileDMatrix | None = None) -> xgb.QuantileDMatrix:
    label = rows.is_fraud.astype(np.float32)
    names = list(feature_names)
    return xgb.QuantileDMatrix(rows.vectors, label, weight=rows.weight, feature_names=names, missing=np.nan, nthread=_THREADS, ref=cuts_of)


def _probability(trial: xgb.Booster, rows: TrainingSet, rounds: int) -> Float64:
    predicted = trial.inplace_predict(rows.vectors, iteration_range=(0, rounds), missing=np.nan, validate_features=False)
    return np.asarray(predicted).astype(np.float64)
