"""Weights that make up for what isn't known yet, or was only seen by chance."""

from dataclasses import replace

import numpy as np
import pytest

from features.definitions import DAY
from features.errors import UserError
from models.learners.baselines import LogisticRegressionLearner, RandomForestLearner
from models.learners.calibration import Platt
from models.learners.learner import Learner
from models.learners.xgboost_learner import XGBoostLearner
from models.training.fitting import fit
from models.training_set.label_maturity import DelaysBySource, immature_weights, inverse_propensity, share_known
from models.training_set.rows import TrainingSet
from tests.made.models import V1, learnable

DELAYS = np.array([1, 2, 2, 5]) * DAY


def test_an_immature_row_counts_by_the_share_of_frauds_known_at_its_age() -> None:
    # age     0    1     2     4     5
    # known   -    1/4   3/4   3/4   all
    age = np.array([0, 1, 2, 4, 5]) * DAY
    assert share_known(DELAYS, age).tolist() == [0.0, 0.25, 0.75, 0.75, 1.0]
    labelled = np.array([False, True, False, True, False])
    assert immature_weights(age, labelled, DELAYS).tolist() == [0.0, 1.0, 0.75, 1.0, 1.0]


def test_frauds_are_as_frequent_among_weighted_immature_rows_as_among_mature_ones() -> None:
    rng = np.random.default_rng(0)
    n, rate = 400_000, 0.01
    delays = rng.exponential(2 * DAY, 20_000).astype(np.int64)
    age = rng.integers(0, 7 * DAY, n)
    known = (rng.random(n) < rate) & (rng.exponential(2 * DAY, n) <= age)
    weight = immature_weights(age, known, delays)
    assert known.mean() < 0.8 * rate
    assert weight[known].sum() / weight.sum() == pytest.approx(rate, rel=0.05)


def test_without_matured_frauds_nothing_says_how_late_labels_come() -> None:
    with pytest.raises(UserError, match="--immature weighted needs matured frauds"):
        immature_weights(DELAYS, np.zeros(4, np.bool_), DELAYS[:0])


def test_one_let_through_by_chance_stands_for_all_that_were_not() -> None:
    assert inverse_propensity(np.array([1.0, 0.05, np.nan])).tolist() == pytest.approx([1.0, 20.0, 1.0])
    for wrong in (0.0, -0.1, 1.5):
        with pytest.raises(UserError, match=rf"1 propensities are no probabilities .*, the first {wrong:g}; fix the column"):
            inverse_propensity(np.array([0.5, wrong]))


@pytest.mark.parametrize(
    "learner",
    [XGBoostLearner(V1.names, 20, {"max_depth": 3, "min_child_weight": 0}), LogisticRegressionLearner(), RandomForestLearner(trees=20)],
    ids=lambda learner: type(learner).__name__,
)
def test_weights_move_the_rate_that_every_learner_expects(learner: Learner) -> None:
    # Frauds that nothing gives away.
    rows = replace(learnable(3_000), is_fraud=np.random.default_rng(0).random(3_000) < 0.1)
    others = learnable(3_000, seed=5).vectors
    weight = np.where(rows.is_fraud, 5.0, 1.0)
    plain, weighted = (learner.fit(one).predict(others).mean() for one in (rows, replace(rows, weight=weight)))
    assert plain == pytest.approx(rows.is_fraud.mean(), abs=0.03)
    # A mean of small leaves' rates stays below the rate of all.
    assert 2 * plain < weighted < np.average(rows.is_fraud, weights=weight) + 0.05


def test_a_calibration_counts_by_weight() -> None:
    rng = np.random.default_rng(0)
    is_fraud = rng.random(20_000) < 0.1
    log_odds = rng.normal(is_fraud, 1.0)
    weight = np.where(is_fraud, 3.0, 1.0)
    found = Platt.fit(log_odds, is_fraud, weight).probability(log_odds)
    assert np.average(found, weights=weight) == pytest.approx(np.average(is_fraud, weights=weight), rel=0.01)


def spread(days: int, n: int, seed: int, begin: int = 0) -> TrainingSet:
    made = learnable(n, seed)
    rng = np.random.default_rng(seed)
    return replace(made, event_time=begin + np.sort(rng.integers(0, days * DAY, n)), user=np.arange(n) % 200)


@pytest.mark.parametrize("histories", [(7, 14), ()], ids=["by the recipe", "by a plain split"])
def test_immature_rows_are_learnt_from_but_choose_nothing(histories: tuple[int, ...]) -> None:
    known = spread(40, 4_000, 0)
    young = spread(7, 700, 1, begin=40 * DAY)
    young = replace(young, weight=np.full(700, 0.5))
    without, history = fit(known, V1.names, histories, 7 * DAY)
    with_them, same = fit(known, V1.names, histories, 7 * DAY, immature=young)
    assert same == history
    assert (with_them.out_of_fold.probability == without.out_of_fold.probability).all()
    assert with_them.booster.save_raw("ubj") != without.booster.save_raw("ubj")


def test_each_source_has_its_own_delays_and_its_part_of_the_frauds() -> None:
    # Warnings come after a day, two thirds of them; chargebacks after five.
    sources = ["warning"] * 40 + ["chargeback"] * 20
    learnt = DelaysBySource.of(sources, np.array([1] * 40 + [5] * 20) * DAY)
    age = np.array([0, 1, 4, 5]) * DAY
    assert learnt.share_known(age).tolist() == pytest.approx([0, 2 / 3, 2 / 3, 1])
    assert share_known(learnt.of_source("chargeback"), age).tolist() == [0, 0, 0, 1]
    assert learnt.frauds == 60


def test_a_source_with_few_frauds_is_assumed_to_be_as_late_as_all() -> None:
    # Of all, 40 of 41 are known after a day; the one analyst's that took five is no measure of what analysts take.
    learnt = DelaysBySource.of(["warning"] * 40 + ["analyst"], np.array([1] * 40 + [5]) * DAY)
    assert share_known(learnt.of_source("analyst"), np.array([DAY])).tolist() == pytest.approx([40 / 41])
    assert learnt.share_known(np.array([DAY])).tolist() == pytest.approx([(40 + 40 / 41) / 41])


def test_without_a_fraud_nothing_is_known_of_the_young() -> None:
    assert DelaysBySource.of([], np.empty(0, np.int64)).share_known(np.array([0, DAY])).tolist() == [0, 0]
