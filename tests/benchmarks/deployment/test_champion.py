"""The benchmarks' champion flags the share that it is meant to flag."""

import numpy as np

from models.policy import UNREACHABLE
from tests.benchmarks.deployment.champion import BLOCKED_SHARE, FLAGGED_SHARE, by_share


def test_thresholds_flag_and_block_their_shares() -> None:
    probability = np.random.default_rng(0).permutation(np.arange(10_000) / 10_000)
    policy = by_share(probability)
    assert (probability >= policy.review_threshold).sum() == FLAGGED_SHARE * 10_000
    assert (probability >= policy.block_threshold).sum() == BLOCKED_SHARE * 10_000


def test_rows_of_one_probability_are_decided_alike() -> None:
    tied = np.repeat([0.9, 0.5, 0.1], [5, 50, 9_945])
    policy = by_share(tied)
    assert (policy.review_threshold, policy.block_threshold) == (0.9, 0.9)
    assert by_share(np.full(1_000, 0.5)).review_threshold == UNREACHABLE
