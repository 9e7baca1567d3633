"""A candidate is held against the champion on the same rows, and is refused only if it may be worse beyond the margin."""

import numpy as np
import pytest

from features.definitions import DAY
from features.errors import UserError
from models.costs import Costs
from models.policy import Policy
from models.promotion.comparison import Comparison, compare, objections
from models.promotion.gate_rows import newest_matured
from tests.made.scored_rows import scored

POLICY = Policy(review_threshold=0.2, block_threshold=0.6, elevated_threshold=0.1, highest_threshold=0.5)
ROWS = scored(6_000)


def against_champion(probability: np.ndarray, policy: Policy = POLICY) -> Comparison:
    return compare(ROWS, (probability, policy), (ROWS.probability, POLICY), Costs())


def noisy(strength: float) -> np.ndarray:
    logit = np.log(ROWS.probability / (1 - ROWS.probability)) + np.random.default_rng(0).normal(0, strength, len(ROWS))
    return np.asarray(1 / (1 + np.exp(-logit)))


def test_the_same_model_holds() -> None:
    found = against_champion(ROWS.probability)
    assert objections(found) == []
    assert all(difference.least == 0 for difference in found.differences.values())


def test_a_much_worse_one_is_refused_with_figures() -> None:
    found = objections(against_champion(noisy(3.0)))
    assert any(sentence.startswith("its average precision may be ") for sentence in found)
    assert any("more than the margin of 0.0200" in sentence for sentence in found)


def test_a_slightly_different_one_holds() -> None:
    assert objections(against_champion(noisy(0.02))) == []


def test_the_better_one_holds_and_the_same_input_gives_the_same() -> None:
    better = np.where(ROWS.is_fraud, np.sqrt(ROWS.probability), ROWS.probability)
    found = against_champion(better)
    assert found == against_champion(better)
    assert found.differences["average_precision"].least > 0
    assert not [sentence for sentence in objections(found) if "calibration" not in sentence]


def test_probabilities_that_mean_nothing_are_refused_though_they_rank_well() -> None:
    inflated = ROWS.probability**0.25
    policy = Policy(review_threshold=0.2**0.25, block_threshold=0.6**0.25, elevated_threshold=0.1, highest_threshold=0.5)
    (sentence,) = objections(against_champion(inflated, policy))
    assert sentence.startswith("its calibration error is ")


def test_thresholds_that_cost_money_are_refused() -> None:
    careless = Policy(review_threshold=0.001, block_threshold=0.005, elevated_threshold=0.001, highest_threshold=0.005)
    (sentence,) = objections(against_champion(ROWS.probability, careless))
    assert sentence.startswith("its money saved may be ")


def test_rows_of_one_class_are_refused() -> None:
    rows = ROWS.where(~ROWS.is_fraud)
    with pytest.raises(ValueError, match="frauds and others"):
        compare(rows, (rows.probability, POLICY), (rows.probability, POLICY), Costs())


def test_the_newest_matured_weeks_begin_a_label_delay_after_the_last_row_learnt() -> None:
    day = np.arange(100)
    # |---- learnt to 60 --- 7 days ---|68 … 92| labels to come|
    chosen = newest_matured(day * DAY, 99 * DAY, 7 * DAY, 60 * DAY, weeks=4)
    assert day[chosen].tolist() == list(range(68, 93))
    assert day[newest_matured(day * DAY, 99 * DAY, 7 * DAY, None, weeks=2)].tolist() == list(range(79, 93))
    with pytest.raises(UserError, match="known up to 1970-04-03, and the models have learnt from rows up to 1970-04-01; give data that"):
        newest_matured(day * DAY, 99 * DAY, 7 * DAY, 90 * DAY, weeks=4)
