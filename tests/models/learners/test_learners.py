"""What single learners promise beyond the laws of all: how rows are thinned, sampled and drawn, on how many threads."""

from dataclasses import replace

import numpy as np
import pytest

from models.learners.baselines import LogisticRegressionLearner, RandomForestLearner
from models.learners.learner import Learner
from models.learners.xgboost_learner import XGBoostLearner
from models.training_set.thinning import thin
from tests.made.models import learnable

KNOWN, LATER = learnable(3_000), learnable(2_000, seed=5)


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
