"""Several boosters as one give the calibrated mean of what they give alone."""

from functools import cache

import numpy as np
import pytest
import xgboost as xgb

from models.learners.booster_average import average
from models.learners.calibration import Platt
from tests.made.models import V1, learnable, rows


@cache
def booster(seed: int, objective: str = "binary:logistic", parallel: int = 1) -> xgb.Booster:
    known = learnable(seed=seed)
    data = xgb.QuantileDMatrix(known.vectors, known.is_fraud.astype(np.float32), feature_names=list(V1.names))
    chosen = {"objective": objective, "max_depth": 4, "num_parallel_tree": parallel, "nthread": 1, "seed": seed}
    return xgb.train(chosen, data, 20 + seed)


def log_odds(model: xgb.Booster) -> np.ndarray:
    return np.asarray(model.inplace_predict(rows(500, seed=9), predict_type="margin"), np.float64)


def test_it_says_the_calibrated_mean() -> None:
    parts = [booster(0), booster(1), booster(2)]
    line = Platt(1.3, -0.4)
    expected = 1.3 * np.mean([log_odds(part) for part in parts], axis=0) - 0.4
    whole = average(parts, line)
    assert log_odds(whole) == pytest.approx(expected, abs=1e-5)
    assert whole.num_boosted_rounds() == 20 + 21 + 22
    assert whole.feature_names == list(V1.names)


def test_it_is_saved_explained_and_made_again_like_any_other() -> None:
    whole = average([booster(0), booster(1)])
    saved = bytes(whole.save_raw("ubj"))
    loaded = xgb.Booster()
    loaded.load_model(bytearray(saved))
    assert (log_odds(loaded) == log_odds(whole)).all()
    assert saved == bytes(average([booster(0), booster(1)]).save_raw("ubj")) == bytes(loaded.save_raw("ubj"))
    some = rows(500, seed=9)[:50]
    contributions = loaded.predict(xgb.DMatrix(some, feature_names=list(V1.names)), pred_contribs=True)
    assert contributions.sum(axis=1) == pytest.approx(log_odds(loaded)[:50], abs=1e-4)


def test_one_alone_is_itself() -> None:
    assert log_odds(average([booster(0)])) == pytest.approx(log_odds(booster(0)), abs=1e-6)


def test_only_what_can_be_averaged_is() -> None:
    with pytest.raises(ValueError, match="at least one"):
        average([])
    with pytest.raises(ValueError, match="binary:logistic"):
        average([booster(0, "reg:squarederror")])
    with pytest.raises(ValueError, match="several trees"):
        average([booster(0, parallel=2)])
    other = booster(0).copy()
    other.feature_names = ["x", *V1.names[1:]]
    with pytest.raises(ValueError, match="different features"):
        average([booster(0), other])
