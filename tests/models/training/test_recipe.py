"""The recipe makes the model that would have served: by what was known on its day, and always the same.

day     0                                 44    51    58    65  70
        learnt from and chosen by ───────────────────▶│gap 7│ as of 65, serves from here on
"""

from dataclasses import replace

import numpy as np
import pytest

from features.definitions import DAY
from models.evaluation.metrics import auc_roc
from models.learners.xgboost_learner import Trees
from models.training.recipe import Recipe, RecipeResult, TooLittle, TreeCache, make
from models.training_set.rows import TrainingSet

NAMES = ("strong", "half", "noise", "planted")
PLAIN = Recipe(histories=(7, 28), weeks=2, parameters={"max_depth": 2, "eta": 0.1})
AS_OF, DELAY, KNOWN = 65 * DAY, 7 * DAY, 58 * DAY


def spread(days: int = 70, a_day: int = 100, seed: int = 0) -> TrainingSet:
    """One in ten a fraud, which the first two features show imperfectly; the other two show nothing."""
    rng = np.random.default_rng(seed)
    n = days * a_day
    is_fraud = rng.random(n) < 0.1
    vectors = rng.normal(size=(n, 4)).astype(np.float32)
    vectors[:, 0] += 1.5 * is_fraud
    vectors[:, 1] += is_fraud
    return TrainingSet(vectors, is_fraud, np.sort(rng.integers(0, days * DAY, n)), rng.integers(0, 100_000, n))


ROWS = spread()


def made(rows: TrainingSet = ROWS, as_of: int = AS_OF, recipe: Recipe = PLAIN, seed: int = 0) -> RecipeResult:
    return enough(make(TreeCache(rows, NAMES, recipe, seed=seed), as_of, DELAY))


def enough(found: RecipeResult | TooLittle) -> RecipeResult:
    assert isinstance(found, RecipeResult)
    return found


def model_bytes(one: RecipeResult) -> bytes:
    return bytes(one.fit.booster.save_raw("ubj"))


@pytest.fixture(scope="module")
def plain() -> RecipeResult:
    return made()


def test_the_same_rows_and_seed_give_the_same_bytes(plain: RecipeResult) -> None:
    assert model_bytes(made()) == model_bytes(plain)
    assert model_bytes(made(seed=1)) != model_bytes(plain)


@pytest.mark.parametrize("altered", ["labels", "everything"])
def test_what_was_not_known_changes_no_bit(plain: RecipeResult, altered: str) -> None:
    later = ROWS.event_time >= KNOWN
    assert later.any()
    rng = np.random.default_rng(1)
    is_fraud = np.where(later, ~ROWS.is_fraud, ROWS.is_fraud)
    other = replace(ROWS, is_fraud=is_fraud)
    if altered == "everything":
        vectors = np.where(later[:, None], rng.normal(size=ROWS.vectors.shape), ROWS.vectors).astype(np.float32)
        other = replace(other, vectors=vectors, amount=np.where(later, 1, ROWS.amount))
    found = made(other)
    assert model_bytes(found) == model_bytes(plain)
    assert found.compared == plain.compared
    assert (found.fit.out_of_fold.probability == plain.fit.out_of_fold.probability).all()


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
    found = auc_roc(ROWS.is_fraud[served], Trees(planted.fit.booster).predict(vectors[served]))
    assert 0.8 < found < 0.99


def test_choices_rest_on_weeks_that_no_model_has_learnt_from(plain: RecipeResult) -> None:
    tried = plain.fit.out_of_fold.rows.event_time
    assert tried.tolist() == ROWS.event_time[(ROWS.event_time >= KNOWN - 14 * DAY) & (ROWS.event_time < KNOWN)].tolist()
    # Seven days, twenty-eight, and both together.
    assert {choice.days for choice in plain.compared} == {(7,), (28,), (7, 28)}
    assert plain.choice.average_precision == max(choice.average_precision for choice in plain.compared)


def test_probabilities_come_true_as_often_as_predicted(plain: RecipeResult) -> None:
    served = ROWS.event_time >= AS_OF
    assert plain.fit.out_of_fold.probability.mean() == pytest.approx(plain.fit.out_of_fold.rows.is_fraud.mean(), rel=0.02)
    probability = Trees(plain.fit.booster).predict(ROWS.vectors[served])
    assert probability.mean() == pytest.approx(ROWS.is_fraud[served].mean(), rel=0.25)


def test_calibration_makes_no_ties() -> None:
    one = made(recipe=replace(PLAIN, histories=(28,)))
    served = ROWS.vectors[ROWS.event_time >= AS_OF]
    model = Trees(one.fit.booster)
    assert len(np.unique(model.predict(served))) == len(np.unique(model.log_odds(served)))


def test_a_week_tried_is_grown_once_for_all_that_need_it() -> None:
    fits: list[str] = []
    grown = TreeCache(ROWS, NAMES, PLAIN, report=fits.append)
    first = enough(make(grown, AS_OF - 7 * DAY, DELAY))
    before = len(fits)
    second = enough(make(grown, AS_OF, DELAY))
    # Of the later week's, one fold was the earlier one's final fit.
    assert len(fits) - before < before
    assert model_bytes(first) == model_bytes(made(as_of=AS_OF - 7 * DAY))
    assert model_bytes(second) == model_bytes(made())


def too_little(rows: TrainingSet, as_of: int = AS_OF, recipe: Recipe = PLAIN) -> str:
    found = make(TreeCache(rows, NAMES, recipe), as_of, DELAY)
    assert isinstance(found, TooLittle)
    return found.reason


def test_too_little_is_named() -> None:
    assert too_little(ROWS, as_of=20 * DAY) == "there is no week with frauds to choose a history by among the 13 days of known labels"
    assert "no week with frauds" in too_little(replace(ROWS, is_fraud=np.zeros(len(ROWS.is_fraud), np.bool_)))
    quiet = replace(ROWS, is_fraud=ROWS.is_fraud & (ROWS.event_time < KNOWN - 7 * DAY))
    reason = "the newest 7 days, the history that was chosen, don't hold both frauds and others to learn from"
    assert too_little(quiet, recipe=replace(PLAIN, histories=(7,))) == reason


def test_rows_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="time order"):
        TreeCache(replace(ROWS, event_time=ROWS.event_time[::-1]), NAMES, PLAIN)
