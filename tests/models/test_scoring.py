"""A row's score doesn't depend on the rows beside it, and follows from the probability and the policy alone."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import xgboost as xgb

from models.policy import UNREACHABLE, Policy
from models.scoring import APPROVE, BLOCK, ELEVATED, HIGHEST, NORMAL, REVIEW, Scorer
from tests.made.models import POLICY, V1, booster, rows, scorer


def bits(probability: np.ndarray) -> np.ndarray:
    return probability.view(np.uint64)


@pytest.mark.parametrize("batch", [1, 2, 63, 64, 65, 1000])
def test_a_row_scores_the_same_bits_in_any_batch(batch: int) -> None:
    model, vectors = scorer(), rows(2_000)
    together = model.score(vectors).probability
    apart = np.concatenate([model.score(vectors[i : i + batch]).probability for i in range(0, len(vectors), batch)])
    assert np.array_equal(bits(together), bits(apart))


def test_memory_layout_does_not_matter() -> None:
    model, vectors = scorer(), rows(200)
    wide = np.full((400, 2 * vectors.shape[1]), 7, np.float32)
    wide[::2, ::2] = vectors
    for view in (np.asfortranarray(vectors), wide[::2, ::2]):
        assert np.array_equal(bits(model.score(view).probability), bits(model.score(vectors).probability))


def test_threads_share_a_scorer() -> None:
    model, vectors = scorer(), rows(2_000)
    expected = bits(model.score(vectors).probability)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: bits(model.score(vectors).probability), range(40)):
            assert np.array_equal(found, expected)


def test_probability_is_xgboosts_own_as_float64() -> None:
    vectors = rows(500)
    own = booster().predict(xgb.DMatrix(vectors, feature_names=list(V1.names)))
    found = scorer().score(vectors).probability
    assert found.dtype == np.float64
    assert np.array_equal(found, own.astype(np.float64))


def test_score_decision_and_level_follow_from_the_probability() -> None:
    scores = scorer().score(rows(3_000))
    assert {0, 1, 2} == set(scores.decision.tolist()) == set(scores.risk_level.tolist())
    for p, score, decision, level in zip(
        *(a.tolist() for a in (scores.probability, scores.risk_score, scores.decision, scores.risk_level)), strict=True
    ):
        assert score == min(99, int(100 * p))
        assert decision == (BLOCK if p >= POLICY.block_threshold else REVIEW if p >= POLICY.review_threshold else APPROVE)
        assert level == (HIGHEST if p >= POLICY.highest_threshold else ELEVATED if p >= POLICY.elevated_threshold else NORMAL)


def test_a_threshold_is_reached_from_below() -> None:
    vectors = rows(50)
    highest = float(scorer().score(vectors).probability.max())
    exact = Policy(review_threshold=highest, block_threshold=UNREACHABLE, elevated_threshold=highest, highest_threshold=highest)
    assert scorer(exact).score(vectors).decision.max() == REVIEW
    assert scorer(exact).score(vectors).risk_level.max() == HIGHEST


def test_no_rows_no_scores() -> None:
    scores = scorer().score(rows(0))
    assert (len(scores.probability), len(scores.decision), len(scores.risk_score), len(scores.risk_level)) == (0, 0, 0, 0)


@pytest.mark.parametrize("shape", [(3, 64), (3, 66), (65,), (1, 3, 65)])
def test_another_width_is_refused_with_both_numbers(shape: tuple[int, ...]) -> None:
    assert len(V1.names) == 65
    with pytest.raises(ValueError, match="expects rows of 65 features, got an array of shape") as refused:
        scorer().score(np.zeros(shape, np.float32))
    assert str(shape) in str(refused.value)


def test_a_booster_of_other_features_is_refused() -> None:
    with pytest.raises(ValueError, match="not the 65 named"):
        replace(scorer(), feature_names=V1.names[::-1])
    nameless = xgb.train({"nthread": 1}, xgb.DMatrix(rows(20), np.arange(20) % 2), 1)
    with pytest.raises(ValueError, match="trained on 0 features"):
        Scorer(nameless, POLICY, V1.names, "tidemark", "1", "", "")
