"""Thresholds by cost save as much as any thresholds can."""

import itertools

import msgspec
import numpy as np
import pytest

from models.costs import Costs
from models.policy import UNREACHABLE, Policy, ThresholdChoice
from models.training.thresholds import choose_policy
from tests.made.scored_rows import scored

COSTS = Costs()


def saved(policy: Policy, probability: np.ndarray, amount: np.ndarray, is_fraud: np.ndarray) -> float:
    blocked = probability >= policy.block_threshold
    reviewed = (probability >= policy.review_threshold) & ~blocked
    return float(COSTS.saved(amount, is_fraud, reviewed, blocked).sum())


@pytest.mark.parametrize("capacity", [0.0, 0.05, 0.2, 1.0])
def test_no_other_thresholds_within_the_capacity_save_more(capacity: float) -> None:
    rows = scored(60, seed=3, skill=2.0)
    probability = np.round(rows.probability, 2)
    policy = choose_policy(probability, rows.amount, rows.is_fraud, COSTS, capacity=capacity)
    assert policy.chosen is not None
    best = 0.0
    thresholds = [*np.unique(probability), UNREACHABLE]
    for review, block in itertools.combinations_with_replacement(thresholds, 2):
        blocked = probability >= block
        reviewed = (probability >= review) & ~blocked
        if reviewed.sum() <= capacity * len(rows):
            best = max(best, float(COSTS.saved(rows.amount, rows.is_fraud, reviewed, blocked).sum()))
    assert saved(policy, probability, rows.amount, rows.is_fraud) == pytest.approx(best)
    assert policy.chosen.saved == round(best)
    assert policy.chosen.reviewed <= capacity * len(rows)


def test_of_many_rows_the_counts_are_what_the_thresholds_do() -> None:
    rows = scored(50_000)
    policy = choose_policy(rows.probability, rows.amount, rows.is_fraud, COSTS, capacity=0.01)
    chosen = policy.chosen
    assert chosen is not None
    flagged, blocked = rows.probability >= policy.review_threshold, rows.probability >= policy.block_threshold
    assert (chosen.reviewed, chosen.blocked) == (flagged.sum() - blocked.sum(), blocked.sum())
    assert (chosen.caught, chosen.blocked_frauds) == ((flagged & rows.is_fraud).sum(), (blocked & rows.is_fraud).sum())
    assert chosen.saved == round(saved(policy, rows.probability, rows.amount, rows.is_fraud)) > 0


def test_where_nothing_is_worth_it_nothing_is_decided() -> None:
    rows = scored(500)
    policy = choose_policy(rows.probability, rows.amount, np.zeros(500, bool), COSTS, capacity=0.005)
    assert (policy.review_threshold, policy.block_threshold) == (UNREACHABLE, UNREACHABLE)


def test_a_dearer_false_positive_blocks_less() -> None:
    rows = scored(20_000)

    def blocked(costs: Costs) -> int:
        chosen = choose_policy(rows.probability, rows.amount, rows.is_fraud, costs, capacity=0.01).chosen
        assert chosen is not None
        return chosen.blocked

    assert blocked(Costs(goodwill=100_000)) < blocked(Costs()) < blocked(Costs(goodwill=0, margin=0.0))


def test_a_policy_from_before_costs_keeps_its_digest() -> None:
    before = (
        b'{"block_threshold":0.9,"chosen":{"block_precision":0.9,"block_share":0.0025,"blocked":1,"blocked_frauds":1,"capacity":0.005,'
        b'"caught":2,"caught_amount":300,"fraud_amount":400,"frauds":3,"reviewed":1,"rows":400},"elevated_threshold":0.3,'
        b'"highest_threshold":0.8,"review_threshold":0.5}'
    )
    policy = Policy.from_json(before)
    assert msgspec.json.encode(policy, order="sorted") == before
    assert isinstance(policy.chosen, ThresholdChoice)
    assert policy.chosen.costs is None
    with_costs = choose_policy(np.array([0.9, 0.1]), np.array([5_000, 100]), np.array([True, False]), COSTS, capacity=1.0)
    assert Policy.from_json(with_costs.to_json()) == with_costs


def test_bad_arguments_are_refused() -> None:
    rows = scored(100)
    with pytest.raises(ValueError, match="not of the same rows"):
        choose_policy(rows.probability, rows.amount[1:], rows.is_fraud, COSTS, capacity=0.005)
    with pytest.raises(ValueError, match="the capacity is a share between 0 and 1"):
        choose_policy(rows.probability, rows.amount, rows.is_fraud, COSTS, capacity=2.0)
    with pytest.raises(ValueError, match="can't be negative"):
        Costs(review=-1)
