"""Training gives the same model for the same rows, and says what it can't learn from."""

import numpy as np
import pytest

from features.errors import UserError
from models.learners.trained import Trained
from models.training.plain_split import train
from models.training_set.rows import TrainingSet
from tests.made.models import V1, learnable

ROWS = learnable(6_000)


def model_bytes(trained: Trained) -> bytes:
    return bytes(trained.booster.save_raw("ubj"))


@pytest.fixture(scope="module")
def trained() -> Trained:
    return train(ROWS, V1.names)


def test_the_same_rows_give_the_same_bytes(trained: Trained) -> None:
    again = train(ROWS, V1.names)
    assert model_bytes(again) == model_bytes(trained)
    assert again.policy.digest == trained.policy.digest


def test_another_seed_gives_another_model(trained: Trained) -> None:
    assert model_bytes(train(ROWS, V1.names, seed=1)) != model_bytes(trained)


def test_it_has_learnt_what_there_is_to_learn(trained: Trained) -> None:
    assert trained.metrics["validation_auc"] > 0.95
    assert trained.booster.feature_names == list(V1.names)
    assert trained.booster.num_boosted_rounds() == trained.parameters["rounds"]


def test_the_policy_is_chosen_on_the_latest_quarter(trained: Trained) -> None:
    chosen = trained.policy.chosen
    assert chosen is not None
    assert (chosen.rows, chosen.frauds) == (1_500, ROWS.is_fraud[-1_500:].sum())
    assert chosen.reviewed + chosen.blocked <= 0.005 * 1_500


def relabelled(is_fraud: np.ndarray) -> TrainingSet:
    return TrainingSet(ROWS.vectors, is_fraud, ROWS.event_time, ROWS.amount)


@pytest.mark.parametrize(
    ("is_fraud", "said"),
    [
        (np.zeros(6_000, np.bool_), "none of the 6,000 transactions to learn from is a fraud"),
        (np.ones(6_000, np.bool_), "every one of the 6,000 transactions to learn from is a fraud"),
        (np.arange(6_000) < 100, "latest part, for validation, has 0 frauds among 1,500"),
        (np.arange(6_000) > 5_900, "earlier part, for fitting, has 0 frauds among 4,500"),
    ],
)
def test_one_class_is_refused(is_fraud: np.ndarray, said: str) -> None:
    with pytest.raises(UserError, match=said):
        train(relabelled(is_fraud), V1.names)


def test_names_must_fit_the_vectors() -> None:
    with pytest.raises(ValueError, match="3 features named"):
        train(ROWS, ("a", "b", "c"))
