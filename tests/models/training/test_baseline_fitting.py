"""Baselines are judged on the weeks that the trees are judged on."""

from dataclasses import replace

import numpy as np
import pytest

from features.definitions import DAY
from features.errors import UserError
from models.training.baseline_fitting import fit_baseline
from models.training.fitting import fit
from models.training_set.rows import TrainingSet
from tests.made.models import V1, learnable

DELAY = 7 * DAY


def spread(days: int) -> TrainingSet:
    made = learnable(4_000)
    return replace(made, event_time=np.sort(np.random.default_rng(0).integers(0, days * DAY, 4_000)), user=np.arange(4_000) % 200)


@pytest.mark.parametrize(("days", "histories"), [(40, (7, 14)), (12, (7, 14)), (40, ())])
def test_the_same_rows_are_scored_as_by_the_trees(days: int, histories: tuple[int, ...]) -> None:
    rows = spread(days)
    found = fit_baseline("logistic_regression", rows, V1.names, histories, DELAY)
    trees = fit(rows, V1.names, histories, DELAY)[0].out_of_fold
    assert found.out_of_fold.rows.event_time.tolist() == trees.rows.event_time.tolist()
    assert found.out_of_fold.probability.mean() == pytest.approx(found.out_of_fold.rows.is_fraud.mean(), rel=0.01)
    assert found.out_of_fold.metrics()["validation_auc"] > 0.8
    assert sum(found.importance.values()) == pytest.approx(1)


def test_what_is_of_one_class_is_refused() -> None:
    rows = spread(40)
    with pytest.raises(UserError, match="none of the 4,000 transactions to learn from is a fraud"):
        fit_baseline("random_forest", replace(rows, is_fraud=np.zeros(4_000, np.bool_)), V1.names, (7,), DELAY)
