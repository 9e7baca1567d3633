"""The recipe makes the model that would have served: by what was known on its day, and always the same.

day     0                                 44    51    58    65  70
        learnt from and chosen by ───────────────────▶│gap 7│ as of 65, serves from here on
"""

from dataclasses import replace

import numpy as np
import pytest

from features.definitions import DAY
from features.errors import UserError
from models.evaluation.metrics import auc_roc
from models.learners.xgboost_learner import Trees
from models.training.recipe import Recipe, RecipeResult, TreeCache, make
from models.training_set.rows import TrainingSet

NAMES = ("told", "half", "noise", "planted")
PLAIN = Recipe(histories=(7, 28), rounds=(10, 20), weeks=2, parameters={"max_depth": 3, "eta": 0.3}, seeds=2, thinning=2)
AS_OF, DELAY, KNOWN = 65 * DAY, 7 * DAY, 58 * DAY


def lived(days: int = 70, a_day: int = 100, seed: int = 0) -> TrainingSet:
    """One in ten a fraud, which the first two features tell imperfectly; the other two tell nothing."""
    rng = np.random.default_rng(seed)
    n = days * a_day
    is_fraud = rng.random(n) < 0.1
    vectors = rng.normal(size=(n, 4)).astype(np.float32)
    vectors[:, 0] += 1.5 * is_fraud
    vectors[:, 1] += is_fraud
    return TrainingSet(vectors, is_fraud, np.sort(rng.integers(0, days * DAY, n)), rng.integers(0, 100_000, n))


ROWS = lived()


def made(rows: TrainingSet = ROWS, as_of: int = AS_OF, recipe: Recipe = PLAIN, seed: int = 0) -> RecipeResult:
    return make(TreeCache(rows, NAMES, recipe, seed=seed), as_of, DELAY)


def model_bytes(one: RecipeResult) -> bytes:
    return bytes(one.trained.booster.save_raw("ubj")) + one.trained.policy.to_json()


@pytest.fixture(scope="module")
def plain() -> RecipeResult:
    return made()


def test_the_same_rows_and_seed_give_the_same_bytes(plain: RecipeResult) -> None:
    assert model_bytes(made()) == model_bytes(plain)
    assert model_bytes(made(seed=1)) != model_bytes(plain)


@pytest.mark.parametrize("told", ["labels", "everything"])
def test_what_was_not_known_changes_no_bit(plain: RecipeResult, told: str) -> None:
    later = ROWS.event_time >= KNOWN
    assert later.any()
    rng = np.random.default_rng(1)
    is_fraud = np.where(later, ~ROWS.is_fraud, ROWS.is_fraud)
    other = replace(ROWS, is_fraud=is_fraud)
    if told == "everything":
        vectors = np.where(later[:, None], rng.normal(size=ROWS.vectors.shape), ROWS.vectors).astype(np.float32)
        other = replace(other, vectors=vectors, amount=np.where(later, 1, ROWS.amount))
    found = made(other)
    assert model_bytes(found) == model_bytes(plain)
    assert found.compared == plain.compared
    assert (found.out_of_fold.probability == plain.out_of_fold.probability).all()


def test_what_was_known_changes_it(plain: RecipeResult) -> None:
    last = np.flatnonzero(ROWS.event_time < KNOWN)[-50:]
    is_fraud = ROWS.is_fraud.copy()
    is_fraud[last] = ~is_fraud[last]
    assert model_bytes(made(replace(ROWS, is_fraud=is_fraud))) != model_bytes(plain)


def test_a_signal_that_only_the_future_has_is_not_used(plain: RecipeResult) -> None:
    vectors = ROWS.vectors.copy()
    future = ROWS.event_time >= KNOWN
    vectors[future, 3] = 100.0 * ROWS.is_fraud[future]
    planted = made(replace(ROWS, vectors=vectors))
    assert model_bytes(planted) == model_bytes(plain)
    served = ROWS.event_time >= AS_OF
    found = auc_roc(ROWS.is_fraud[served], Trees(planted.trained.booster).predict(vectors[served]))
    assert 0.8 < found < 0.99


def test_choices_rest_on_weeks_that_no_model_has_learnt_from(plain: RecipeResult) -> None:
    tried = ROWS.event_time[plain.out_of_fold.rows]
    assert tried.min() >= KNOWN - 14 * DAY
    assert tried.max() < KNOWN
    assert len(np.unique(plain.out_of_fold.rows)) == len(tried) == ((ROWS.event_time >= KNOWN - 14 * DAY) & (ROWS.event_time < KNOWN)).sum()
    # Seven days, twenty-eight, and both together, each after ten and twenty rounds.
    assert len(plain.compared) == 6
    assert plain.choice.average_precision == max(choice.average_precision for choice in plain.compared)
    chosen = plain.trained.policy.chosen
    assert chosen is not None
    assert chosen.rows == len(tried)


def test_probabilities_can_be_taken_at_their_word(plain: RecipeResult) -> None:
    served = ROWS.event_time >= AS_OF
    assert plain.out_of_fold.probability.mean() == pytest.approx(ROWS.is_fraud[plain.out_of_fold.rows].mean(), rel=0.02)
    probability = Trees(plain.trained.booster).predict(ROWS.vectors[served])
    assert probability.mean() == pytest.approx(ROWS.is_fraud[served].mean(), rel=0.25)


def test_calibration_makes_no_ties() -> None:
    one = made(recipe=replace(PLAIN, histories=(28,), rounds=(20,)))
    served = ROWS.vectors[ROWS.event_time >= AS_OF]
    model = Trees(one.trained.booster)
    assert len(np.unique(model.predict(served))) == len(np.unique(model.log_odds(served)))


def test_a_week_tried_is_grown_once_for_all_that_need_it() -> None:
    told: list[str] = []
    grown = TreeCache(ROWS, NAMES, PLAIN, told=told.append)
    first = make(grown, AS_OF - 7 * DAY, DELAY)
    before = len(told)
    second = make(grown, AS_OF, DELAY)
    # Of the later week's, one fold was the earlier one's final fit.
    assert len(told) - before < before
    assert model_bytes(first) == model_bytes(made(as_of=AS_OF - 7 * DAY))
    assert model_bytes(second) == model_bytes(made())


def test_too_little_is_refused() -> None:
    with pytest.raises(UserError, match="at least four weeks"):
        made(as_of=20 * DAY)
    with pytest.raises(UserError, match="no week with frauds"):
        made(replace(ROWS, is_fraud=np.zeros(len(ROWS.is_fraud), np.bool_)))
    with pytest.raises(ValueError, match="time order"):
        TreeCache(replace(ROWS, event_time=ROWS.event_time[::-1]), NAMES, PLAIN)
