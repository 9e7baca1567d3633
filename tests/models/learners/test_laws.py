"""Laws that whatever learns must keep: one list, every learner, in the style of river's checks.

Two laws aren't promised by all. A learner that draws rows by their places (a forest its bootstraps, thinning every n-th legitimate row)
learns from others where rows change places or stand twice: of it the same is asked on average. Of logistic regression a row that stands
twice also counts twice in medians and scales, which know no weights.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import xgboost as xgb

from features.arrays import Float64
from features.errors import UserError
from models.evaluation.metrics import auc_roc
from models.learners.baselines import LogisticRegressionLearner, RandomForestLearner
from models.learners.booster_average import average
from models.learners.calibration import Platt
from models.learners.learner import Learner, Predictor
from models.learners.xgboost_learner import Trees, XGBoostLearner
from models.training_set.rows import TrainingSet
from tests.made.models import V1, learnable

KNOWN, LATER = learnable(3_000), learnable(2_000, seed=5)
RNG = np.random.default_rng(0)
BY_CHANCE = 0.02


@dataclass(frozen=True)
class AverageLearner:
    """Two boosters as one, calibrated: what ``average`` makes of learners is held to their laws."""

    rounds: int = 20

    def fit(self, rows: TrainingSet) -> Trees:
        seeds = (XGBoostLearner(V1.names, self.rounds, {"max_depth": 3, "eta": eta}, seed=seed) for seed, eta in ((0, 0.3), (1, 0.2)))
        return Trees(average([learner.fit(rows).booster for learner in seeds], Platt(0.9, -0.1)))


@dataclass(frozen=True)
class Case:
    """A learner, and how far probabilities may move where rows change places, and where a row's weight becomes a second row; None: as far
    as chance takes them."""

    learner: Learner
    by_order: float | None
    by_weight: float | None


CASES = {
    "trees": Case(XGBoostLearner(V1.names, 30, {"max_depth": 3}), 1e-6, 1e-6),
    "thinned trees": Case(XGBoostLearner(V1.names, 30, {"max_depth": 3, "max_bin": 64}, thinning=3), None, None),
    "averaged trees": Case(AverageLearner(), 1e-6, 1e-6),
    "logistic regression": Case(LogisticRegressionLearner(), 1e-6, 0.05),
    "random forest": Case(RandomForestLearner(trees=20), None, None),
}


@pytest.fixture(params=CASES, scope="module")
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(scope="module")
def fitted(case: Case) -> Predictor:
    return case.learner.fit(KNOWN)


def at(rows: TrainingSet, places: np.ndarray) -> TrainingSet:
    """The rows at these places, in their order."""
    weight = None if rows.weight is None else rows.weight[places]
    return TrainingSet(rows.vectors[places], rows.is_fraud[places], rows.event_time[places], rows.amount[places], weight=weight)


def assert_same(found: Float64, expected: Float64, tolerance: float | None) -> None:
    if tolerance is not None:
        assert found == pytest.approx(expected, abs=tolerance)
        return
    assert found.mean() == pytest.approx(expected.mean(), abs=BY_CHANCE)
    assert auc_roc(LATER.is_fraud, found) == pytest.approx(auc_roc(LATER.is_fraud, expected), abs=BY_CHANCE)


def test_it_learns_what_there_is_to_learn(fitted: Predictor) -> None:
    probability = fitted.predict(LATER.vectors)
    assert auc_roc(LATER.is_fraud, probability) > 0.85
    assert probability.mean() == pytest.approx(KNOWN.is_fraud.mean(), abs=0.03)


def test_the_same_rows_and_seed_give_the_same_model(case: Case, fitted: Predictor) -> None:
    again = case.learner.fit(KNOWN)
    assert again.log_odds(LATER.vectors).tobytes() == fitted.log_odds(LATER.vectors).tobytes()
    if isinstance(fitted, Trees):
        assert isinstance(again, Trees)
        assert again.booster.save_raw("ubj") == fitted.booster.save_raw("ubj")


def test_fitting_leaves_the_rows_as_they_were(case: Case) -> None:
    rows = replace(KNOWN, weight=np.ones(len(KNOWN.is_fraud)))
    before = [column.copy() for column in (rows.vectors, rows.is_fraud, rows.event_time, rows.amount, rows.weight)]
    case.learner.fit(rows)
    for column, as_before in zip((rows.vectors, rows.is_fraud, rows.event_time, rows.amount, rows.weight), before, strict=True):
        assert column is not None
        assert column.tobytes() == as_before.tobytes()


def test_rows_may_come_in_any_order(case: Case, fitted: Predictor) -> None:
    shuffled = case.learner.fit(at(KNOWN, RNG.permutation(len(KNOWN.is_fraud))))
    assert_same(shuffled.predict(LATER.vectors), fitted.predict(LATER.vectors), case.by_order)


def test_a_row_of_weight_two_is_a_row_that_stands_twice(case: Case, fitted: Predictor) -> None:
    doubled = np.random.default_rng(1).random(len(KNOWN.is_fraud)) < 0.3
    weighted = case.learner.fit(replace(KNOWN, weight=1.0 + doubled)).predict(LATER.vectors)
    repeated = case.learner.fit(at(KNOWN, np.repeat(np.arange(len(doubled)), 1 + doubled))).predict(LATER.vectors)
    assert_same(weighted, repeated, case.by_weight)
    assert weighted.tobytes() != fitted.predict(LATER.vectors).tobytes()


def test_frauds_of_more_weight_raise_probabilities(case: Case, fitted: Predictor) -> None:
    heavier = case.learner.fit(replace(KNOWN, weight=np.where(KNOWN.is_fraud, 5.0, 1.0)))
    assert heavier.predict(LATER.vectors).mean() > fitted.predict(LATER.vectors).mean()


def test_probabilities_lie_between_0_and_1_and_rise_with_the_log_odds(fitted: Predictor) -> None:
    probability, log_odds = fitted.predict(LATER.vectors), fitted.log_odds(LATER.vectors)
    assert probability.dtype == log_odds.dtype == np.float64
    assert ((probability >= 0) & (probability <= 1)).all()
    assert np.isfinite(log_odds).all()
    assert 1 / (1 + np.exp(-log_odds)) == pytest.approx(probability, abs=1e-9)
    by_log_odds = probability[np.argsort(log_odds, kind="stable")]
    assert (np.diff(by_log_odds) >= -1e-12).all()


def test_a_row_alone_gives_what_it_gives_among_others(fitted: Predictor) -> None:
    together = fitted.predict(LATER.vectors[:20])
    alone = [fitted.predict(LATER.vectors[row : row + 1])[0] for row in range(20)]
    assert together == pytest.approx(alone, abs=1e-12)
    assert len(fitted.predict(LATER.vectors[:0])) == len(fitted.log_odds(LATER.vectors[:0])) == 0


def test_what_is_missing_is_borne(case: Case) -> None:
    vectors = KNOWN.vectors.copy()
    vectors[:, 7] = np.nan
    model = case.learner.fit(replace(KNOWN, vectors=vectors))
    assert np.isfinite(model.log_odds(LATER.vectors)).all()
    assert np.isfinite(model.log_odds(np.full_like(LATER.vectors[:3], np.nan))).all()


@pytest.mark.parametrize(("fraud", "words"), [(False, "none of the 3,000"), (True, "every one of the 3,000")])
def test_one_class_is_refused(case: Case, fraud: bool, words: str) -> None:
    with pytest.raises(UserError, match=words):
        case.learner.fit(replace(KNOWN, is_fraud=np.full(3_000, fraud)))


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "trees" in name])
def test_trees_survive_being_written(name: str) -> None:
    """Of the baselines nothing is ever written but their figures."""
    model = CASES[name].learner.fit(KNOWN)
    assert isinstance(model, Trees)
    written = model.booster.save_raw("ubj")
    booster = xgb.Booster()
    booster.load_model(written)
    assert Trees(booster).log_odds(LATER.vectors).tobytes() == model.log_odds(LATER.vectors).tobytes()
    assert booster.save_raw("ubj") == written
    assert tuple(booster.feature_names or ()) == V1.names


class TestOfACalibration:
    """A calibration learns too: a line from log-odds and outcomes."""

    log_odds = RNG.normal(-3, 2, 5_000)
    is_fraud = RNG.random(5_000) < Platt(0.7, -1.2).probability(log_odds)

    def test_rows_may_come_in_any_order(self) -> None:
        order = RNG.permutation(5_000)
        assert near(Platt.fit(self.log_odds[order], self.is_fraud[order]), Platt.fit(self.log_odds, self.is_fraud))

    def test_the_same_rows_give_the_same_line(self) -> None:
        assert Platt.fit(self.log_odds, self.is_fraud) == Platt.fit(self.log_odds, self.is_fraud)

    def test_a_row_of_weight_two_is_a_row_that_stands_twice(self) -> None:
        times = 1 + (RNG.random(5_000) < 0.3)
        weighted = Platt.fit(self.log_odds, self.is_fraud, times.astype(np.float64))
        assert near(weighted, Platt.fit(np.repeat(self.log_odds, times), np.repeat(self.is_fraud, times)))
        assert not near(weighted, Platt.fit(self.log_odds, self.is_fraud), 1e-6)

    def test_probabilities_lie_between_0_and_1_and_keep_the_order(self) -> None:
        probability = Platt.fit(self.log_odds, self.is_fraud).probability(np.linspace(-700, 700, 1_001))
        assert ((probability >= 0) & (probability <= 1)).all()
        assert (np.diff(probability) >= 0).all()

    @pytest.mark.parametrize("fraud", [False, True])
    def test_one_class_is_refused(self, fraud: bool) -> None:
        with pytest.raises(ValueError, match="a calibration needs frauds and others, got"):
            Platt.fit(self.log_odds, np.full(5_000, fraud))

    def test_it_survives_being_written_into_leaves(self) -> None:
        model = XGBoostLearner(V1.names, 20, {"max_depth": 3}).fit(KNOWN)
        line = Platt(0.7, -1.2)
        calibrated = Trees(average([model.booster], line))
        assert calibrated.predict(LATER.vectors) == pytest.approx(line.probability(model.log_odds(LATER.vectors)), abs=1e-6)


def near(one: Platt, other: Platt, tolerance: float = 1e-5) -> bool:
    return bool(np.allclose((one.slope, one.intercept), (other.slope, other.intercept), atol=tolerance))
