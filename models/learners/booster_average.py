"""Several boosters as one: their weighted mean in log-odds, and a calibration on top, written into the leaves of one native booster.

So an average is served by one prediction, explained by one set of contributions and saved as one UBJ file, like any other model.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import xgboost as xgb

from models.learners.calibration import Platt, log_odds_of, probability_of

_LEAF = -1


def average(boosters: Sequence[xgb.Booster], calibration: Platt | None = None) -> xgb.Booster:
    """One booster whose log-odds are the calibrated mean of the log-odds of ``boosters``, up to float32 rounding.

    All must be ``binary:logistic`` trees over the same features. Raises ValueError if they aren't, or there are none.
    """
    if not boosters:
        raise ValueError("an average needs at least one booster")
    line = calibration or Platt()
    models = [json.loads(bytes(booster.save_raw("json"))) for booster in boosters]
    learners = [model["learner"] for model in models]
    _require_alike(learners)
    base = float(np.mean([_base_log_odds(learner) for learner in learners]))
    trees = [tree for learner in learners for tree in learner["gradient_booster"]["model"]["trees"]]
    for number, tree in enumerate(trees):
        _scale(tree, line.slope / len(boosters))
        tree["id"] = number
    whole = models[0]
    learner = whole["learner"]
    learner["attributes"] = {}
    learner["learner_model_param"]["base_score"] = f"[{float(probability_of(np.array(line.slope * base + line.intercept))):.9E}]"
    model = learner["gradient_booster"]["model"]
    model["trees"] = trees
    model["tree_info"] = [0] * len(trees)
    model["iteration_indptr"] = list(range(len(trees) + 1))
    model["gbtree_model_param"]["num_trees"] = str(len(trees))
    averaged = xgb.Booster()
    averaged.load_model(bytearray(json.dumps(whole).encode()))
    return averaged


def _scale(tree: dict[str, Any], factor: float) -> None:
    """Multiplies what the tree returns, in float32; of its nodes only leaves keep it where inner ones keep their split."""
    values = np.array(tree["split_conditions"], np.float32)
    leaf = np.array(tree["left_children"]) == _LEAF
    values[leaf] *= np.float32(factor)
    tree["split_conditions"] = values.tolist()
    tree["base_weights"] = (np.array(tree["base_weights"], np.float32) * np.float32(factor)).tolist()


def _base_log_odds(learner: dict[str, Any]) -> float:
    return float(log_odds_of(np.array(float(learner["learner_model_param"]["base_score"].strip("[]")))))


def _require_alike(learners: Sequence[dict[str, Any]]) -> None:
    for learner in learners:
        if learner["objective"]["name"] != "binary:logistic" or learner["gradient_booster"]["name"] != "gbtree":
            raise ValueError("only boosters of trees for binary:logistic can be averaged in log-odds")
        if learner["gradient_booster"]["model"]["gbtree_model_param"]["num_parallel_tree"] != "1":
            raise ValueError("a booster with several trees to a round can't be averaged")
        if learner["feature_names"] != learners[0]["feature_names"]:
            raise ValueError("boosters over different features can't be averaged")
