"""Training: a training set in, a booster with its policy out. Equal rows, seed and threads give an equal model, byte for byte."""

from collections.abc import Mapping

import numpy as np
import xgboost as xgb

from features.arrays import Float64
from features.errors import UserError
from models.evaluation.metrics import auc_roc, average_precision
from models.learners.trained import OutOfFold, Trained
from models.training.thresholds import choose_policy
from models.training_set.rows import TrainingSet
from models.training_set.splits import validation_begin

# Settled by hand on nine earlier weeks of the handbook's data (training from 2018-05-09 … 2018-07-04), before the published week was ever
# scored. Shallow trees that see few features at a time, for a week holds some 600 frauds of three kinds.
PLAIN_PARAMETERS: Mapping[str, str | float | int] = {
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


def train(
    rows: TrainingSet,
    feature_names: tuple[str, ...],
    *,
    seed: int = 0,
    threads: int = 1,
    validation_share: float = VALIDATION_SHARE,
    immature: TrainingSet | None = None,
    parameters: Mapping[str, str | float | int] = PLAIN_PARAMETERS,
) -> Trained:
    """Fit gradient-boosted trees (XGBoost, hist) to the rows.

    The latest ``validation_share`` of them settle how many trees are grown and where the policy's thresholds lie; the final booster is
    then grown on all rows, and on the weighted ``immature`` ones after them, if any. Raises UserError if either part is of one class.
    """
    if rows.vectors.shape[1:] != (len(feature_names),):
        raise ValueError(f"vectors of shape {rows.vectors.shape} don't hold the {len(feature_names)} features named")
    held_out = rows.event_time >= validation_begin(rows.event_time, validation_share)
    fitting, validation = rows.where(~held_out), rows.where(held_out)
    require_both_classes(rows, fitting, validation)

    parameters = {"objective": "binary:logistic", "tree_method": "hist", **parameters, "seed": seed, "nthread": threads}
    known = _matrix(fitting, feature_names, threads)
    trial = xgb.train(
        parameters,
        known,
        MOST_ROUNDS,
        evals=[(_matrix(validation, feature_names, threads, cuts_of=known), "validation")],
        early_stopping_rounds=PATIENCE,
        verbose_eval=False,
    )
    rounds = trial.best_iteration + 1
    probability = _probability(trial, validation, rounds)
    policy = choose_policy(probability, validation.amount, validation.is_fraud, validation.weight)
    booster = _booster(rows if immature is None else rows.followed_by(immature), feature_names, parameters, rounds)
    return Trained(
        booster,
        policy,
        {**parameters, "rounds": rounds, "validation_share": validation_share},
        {
            "validation_auc": auc_roc(validation.is_fraud, probability, validation.weight),
            "validation_ap": average_precision(validation.is_fraud, probability, validation.weight),
            "validation_logloss": float(trial.best_score),
        },
        OutOfFold(validation, probability),
    )


def _booster(rows: TrainingSet, feature_names: tuple[str, ...], parameters: Mapping[str, str | float | int], rounds: int) -> xgb.Booster:
    """Trees grown on all the rows, on as many threads as ``nthread`` says."""
    return xgb.train(dict(parameters), _matrix(rows, feature_names, int(parameters["nthread"])), rounds, verbose_eval=False)


def _matrix(
    rows: TrainingSet, feature_names: tuple[str, ...], threads: int, cuts_of: xgb.QuantileDMatrix | None = None
) -> xgb.QuantileDMatrix:
    label = rows.is_fraud.astype(np.float32)
    names = list(feature_names)
    return xgb.QuantileDMatrix(rows.vectors, label, weight=rows.weight, feature_names=names, missing=np.nan, nthread=threads, ref=cuts_of)


def _probability(trial: xgb.Booster, rows: TrainingSet, rounds: int) -> Float64:
    predicted = trial.inplace_predict(rows.vectors, iteration_range=(0, rounds), missing=np.nan, validate_features=False)
    return np.asarray(predicted).astype(np.float64)


def require_both_classes(rows: TrainingSet, fitting: TrainingSet, validation: TrainingSet) -> None:
    """Raises UserError unless both parts of the rows hold frauds and others."""
    of_all = f"of the {len(rows.is_fraud):,} transactions to learn from"
    if not rows.frauds:
        raise UserError(f"none {of_all} is a fraud; widen --from and --to, or map another label column")
    if rows.frauds == len(rows.is_fraud):
        raise UserError(f"every one {of_all} is a fraud; give the legitimate ones too, or map another label column")
    for part, title in ((fitting, "earlier part, for fitting,"), (validation, "latest part, for validation,")):
        if not 0 < part.frauds < len(part.is_fraud):
            found = f"{part.frauds:,} frauds among {len(part.is_fraud):,} transactions"
            raise UserError(f"the range's {title} has {found}; widen --from and --to until both parts have frauds and others")
