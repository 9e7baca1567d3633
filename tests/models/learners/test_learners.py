"""Every learner keeps the same promises: seeded, row by row, rather good, and clear about what it can't learn from."""

from dataclasses import replace

import numpy as np
import pytest

from features.errors import UserError
from models.evaluation.metrics import auc_roc
from models.learners.baselines import LogisticRegressionLearner, RandomForestLearner
from models.learners.learner import Learner
from models.learners.xgboost_learner import XGBoostLearner
from models.training_set.rows import TrainingSet
from models.training_set.thinning import thin
from tests.made.models import V1, learnable

LEARNERS = [
    XGBoostLearner(V1.names, 30, {"max_depth": 3}),
    XGBoostLearner(V1.names, 30, {"max_depth": 3, "max_bin": 64}, thinning=3),
    LogisticRegressionLearner(),
    RandomForestLearner(trees=20),
]
KNOWN, LATER = learnable(3_000), learnable(2_000, seed=5)


@pytest.fixture(params=LEARNERS, ids=lambda learner: f"{type(learner).__name__} {getattr(learner, 'thinning', '')}")
def learner(request: pytest.FixtureRequest) -> Learner:
    found: Learner = request.param
    return found


def test_it_separates_frauds_from_the_rest_and_always_the_same(learner: Learner) -> None:
    model = learner.fit(KNOWN)
    probability = model.predict(LATER.vectors)
    assert probability.dtype == np.float64
    assert ((probability >= 0) & (probability <= 1)).all()
    assert auc_roc(LATER.is_fraud, probability) > 0.85
    assert (probability == learner.fit(KNOWN).predict(LATER.vectors)).all()
    assert probability.mean() == pytest.approx(KNOWN.is_fraud.mean(), abs=0.03)


def test_log_odds_are_those_of_the_probability(learner: Learner) -> None:
    model = learner.fit(KNOWN)
    log_odds, probability = model.log_odds(LATER.vectors), model.predict(LATER.vectors)
    assert np.isfinite(log_odds).all()
    assert 1 / (1 + np.exp(-log_odds)) == pytest.approx(probability, abs=1e-9)


def test_a_row_alone_gives_what_it_gives_among_others(learner: Learner) -> None:
    model = learner.fit(KNOWN)
    together = model.predict(LATER.vectors[:20])
    alone = [model.predict(LATER.vectors[row : row + 1])[0] for row in range(20)]
    assert together == pytest.approx(alone, abs=1e-12)
    assert len(model.predict(LATER.vectors[:0])) == 0


@pytest.mark.parametrize(("fraud", "sentence"), [(False, "none of the 3,000"), (True, "every one of the 3,000")])
def test_one_class_is_refused(learner: Learner, fraud: bool, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        learner.fit(replace(KNOWN, is_fraud=np.full(3_000, fraud)))


@pytest.mark.parametrize("learner", [LogisticRegressionLearner(), RandomForestLearner(trees=20)], ids=["regression", "forest"])
def test_sampled_others_stand_for_those_left_out(learner: Learner) -> None:
    few = thin(KNOWN, 4)
    assert few.weight is not None
    assert few.frauds == KNOWN.frauds
    assert few.weight.sum() == pytest.approx(len(KNOWN.is_fraud), abs=4)
    assert learner.fit(few).predict(LATER.vectors).mean() == pytest.approx(KNOWN.is_fraud.mean(), abs=0.03)
    assert thin(KNOWN, 1) is KNOWN
    twice = thin(replace(KNOWN, weight=np.full(3_000, 2.0)), 4)
    assert twice.weight is not None
    assert twice.weight.tolist() == (2 * few.weight).tolist()


def test_a_forest_is_the_same_on_any_number_of_threads() -> None:
    one, three = (RandomForestLearner(trees=20, threads=threads).fit(KNOWN).predict(LATER.vectors) for threads in (1, 3))
    assert one.tobytes() == three.tobytes()


def test_of_many_rows_each_tree_learns_from_some() -> None:
    forest = RandomForestLearner(trees=5, most_rows=500).fit(KNOWN).pipeline[-1]
    assert [tree.tree_.weighted_n_node_samples[0] for tree in forest.estimators_] == [500] * 5


def test_names_must_fit_the_vectors() -> None:
    with pytest.raises(ValueError, match="3 features named"):
        XGBoostLearner(("a", "b", "c"), 1).fit(KNOWN)


def test_a_feature_that_is_always_missing_is_borne(learner: Learner) -> None:
    vectors = KNOWN.vectors.copy()
    vectors[:, 7] = np.nan
    model = learner.fit(TrainingSet(vectors, KNOWN.is_fraud, KNOWN.event_time, KNOWN.amount))
    assert np.isfinite(model.log_odds(LATER.vectors)).all()
