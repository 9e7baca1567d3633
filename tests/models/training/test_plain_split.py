"""A plain split gives the same model for the same rows, and names what it can't learn from."""

import numpy as np
import pytest

from features.errors import UserError
from models.training.fit import Fit
from models.training.plain_split import fit_plain_split
from models.training_set.rows import TrainingSet
from tests.made.models import V1, learnable

ROWS = learnable(6_000)


def model_bytes(fitted: Fit) -> bytes:
    return bytes(fitted.booster.save_raw("ubj"))


@pytest.fixture(scope="module")
def fitted() -> Fit:
    return fit_plain_split(ROWS, V1.names)


def test_the_same_rows_give_the_same_bytes(fitted: Fit) -> None:
    again = fit_plain_split(ROWS, V1.names)
    assert model_bytes(again) == model_bytes(fitted)
    assert again.out_of_fold.probability.tolist() == fitted.out_of_fold.probability.tolist()


def test_another_seed_gives_another_model(fitted: Fit) -> None:
    assert model_bytes(fit_plain_split(ROWS, V1.names, seed=1)) != model_bytes(fitted)


def test_it_has_learnt_what_there_is_to_learn(fitted: Fit) -> None:
    assert fitted.out_of_fold.metrics()["validation_auc"] > 0.95
    assert fitted.booster.feature_names == list(V1.names)
    assert fitted.booster.num_boosted_rounds() == fitted.parameters["rounds"]


def test_the_latest_quarter_is_for_validation(fitted: Fit) -> None:
    assert fitted.out_of_fold.rows.event_time.tolist() == ROWS.event_time[-1_500:].tolist()
    assert len(fitted.out_of_fold.probability) == 1_500


def relabelled(is_fraud: np.ndarray) -> TrainingSet:
    return TrainingSet(ROWS.vectors, is_fraud, ROWS.event_time, ROWS.amount)


@pytest.mark.parametrize(
    ("is_fraud", "sentence"),
    [
        (np.zeros(6_000, np.bool_), "none of the 6,000 transactions to learn from is a fraud"),
        (np.ones(6_000, np.bool_), "every one of the 6,000 transactions to learn from is a fraud"),
        (np.arange(6_000) < 100, "latest part, for validation, has 0 frauds among 1,500"),
        (np.arange(6_000) > 5_900, "earlier part, for fitting, has 0 frauds among 4,500"),
    ],
)
def test_one_class_is_refused(is_fraud: np.ndarray, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        fit_plain_split(relabelled(is_fraud), V1.names)


def test_names_must_fit_the_vectors() -> None:
    with pytest.raises(ValueError, match="3 features named"):
        fit_plain_split(ROWS, ("a", "b", "c"))
