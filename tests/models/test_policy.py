"""Thresholds keep what they were asked to keep, whatever the scores look like."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from models.policy import UNREACHABLE, Policy
from models.training.thresholds import choose_policy

SHARES = st.sampled_from([0.0, 0.01, 0.05, 0.2, 0.5, 1.0])


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n = draw(st.integers(0, 300))
    # Few distinct values, so that ties are common.
    probability = draw(hnp.arrays(np.float64, n, elements=st.sampled_from(np.linspace(0, 1, 21).tolist())))
    return probability, draw(hnp.arrays(np.int64, n, elements=st.integers(0, 10**6))), draw(hnp.arrays(np.bool_, n))


@given(scored(), SHARES, SHARES, SHARES)
def test_shares_and_precision_are_kept(rows: tuple[np.ndarray, np.ndarray, np.ndarray], one: float, other: float, precision: float) -> None:
    probability, amount, is_fraud = rows
    block_share, capacity = sorted((one, other))
    policy = choose_policy(probability, amount, is_fraud, capacity=capacity, block_share=block_share, block_precision=precision)
    blocked, flagged = probability >= policy.block_threshold, probability >= policy.review_threshold
    assert blocked.sum() <= block_share * len(probability)
    assert flagged.sum() <= capacity * len(probability)
    assert not blocked.any() or is_fraud[blocked].mean() >= precision
    assert (flagged | ~blocked).all()
    assert ((probability >= policy.highest_threshold) | ~blocked).all()
    assert ((probability >= policy.elevated_threshold) | ~flagged).all()
    chosen = policy.chosen
    assert chosen is not None
    assert (chosen.rows, chosen.frauds) == (len(probability), is_fraud.sum())
    assert (chosen.blocked, chosen.reviewed) == (blocked.sum(), flagged.sum() - blocked.sum())
    assert (chosen.caught, chosen.caught_amount) == ((flagged & is_fraud).sum(), amount[flagged & is_fraud].sum())
    assert Policy.from_json(policy.to_json()) == policy


def test_as_much_as_allowed_is_used() -> None:
    n = 10_000
    probability = np.arange(n) / n
    is_fraud = probability >= 0.99
    policy = choose_policy(probability, np.ones(n, np.int64), is_fraud, capacity=0.005, block_share=0.002)
    assert policy.chosen is not None
    assert (policy.chosen.blocked, policy.chosen.reviewed) == (20, 30)


def test_imprecise_scores_block_nobody_but_are_reviewed() -> None:
    rng = np.random.default_rng(0)
    probability, is_fraud = rng.random(10_000), rng.random(10_000) < 0.5
    policy = choose_policy(probability, np.ones(10_000, np.int64), is_fraud)
    assert policy.block_threshold == UNREACHABLE
    assert (probability >= policy.review_threshold).sum() == 50


def test_a_precision_measured_on_a_few_rows_blocks_nobody() -> None:
    probability = np.arange(900) / 1_000
    policy = choose_policy(probability, np.ones(900, np.int64), probability >= 0.89, capacity=0.01, block_share=0.01)
    assert policy.block_threshold == UNREACHABLE


def test_the_digest_follows_the_content() -> None:
    policy = Policy(review_threshold=0.5, block_threshold=0.9, elevated_threshold=0.3, highest_threshold=0.8)
    same = Policy.from_json(policy.to_json())
    other = Policy(review_threshold=0.5, block_threshold=0.91, elevated_threshold=0.3, highest_threshold=0.8)
    assert policy.digest == same.digest
    assert policy.digest != other.digest
    # So that a change of the encoding doesn't go unnoticed: decisions in the log name it.
    assert policy.digest == "5f0907ccb94bee4148a6ceb17854f364633c2e1dfb41a647212e4ffd836e29fb"


@pytest.mark.parametrize(
    ("review", "block", "elevated", "highest", "said"),
    [
        (0.9, 0.5, 0.1, 0.2, "lies above the block threshold"),
        (0.5, 0.9, 0.6, 0.8, "risk levels"),
        (0.5, 0.9, 0.3, 0.95, "risk levels"),
        (0.5, 3.0, 0.3, 0.8, "between 0 and 2"),
        (float("nan"), 0.9, 0.3, 0.8, "between 0 and 2"),
    ],
)
def test_contradictions_are_refused(review: float, block: float, elevated: float, highest: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Policy(review_threshold=review, block_threshold=block, elevated_threshold=elevated, highest_threshold=highest)


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b'{"review_threshold": 1, "block_threshold": 0, "elevated_threshold": 0, "highest_threshold": 0}']
)
def test_what_is_no_policy_is_refused(text: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        Policy.from_json(text)


def test_arguments_that_make_no_sense_are_refused() -> None:
    probability, amount, is_fraud = np.zeros(3), np.zeros(3, np.int64), np.zeros(3, np.bool_)
    with pytest.raises(ValueError, match="not of the same rows"):
        choose_policy(probability, amount[:2], is_fraud)
    with pytest.raises(ValueError, match="within the capacity"):
        choose_policy(probability, amount, is_fraud, capacity=0.1, block_share=0.2)
