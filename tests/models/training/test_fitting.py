"""Where past weeks can be replayed they choose the history; where rows are few, all are learnt from, and the reason is given."""

from dataclasses import replace

import numpy as np
import pytest

from features.definitions import DAY
from features.errors import UserError
from models.learners.xgboost_learner import XGBoostLearner
from models.training.fitting import fit
from models.training.history_choice import HistoryChoice
from models.training.recipe import TooLittle
from models.training_set.classes import require_enough_frauds
from models.training_set.rows import TrainingSet
from tests.made.models import V1, learnable

DELAY = 7 * DAY


def rows(days: int) -> TrainingSet:
    made = learnable(4_000)
    return replace(made, event_time=np.sort(np.random.default_rng(0).integers(0, days * DAY, 4_000)), user=np.arange(4_000) % 200)


def test_the_newest_weeks_are_scored_by_models_that_had_not_seen_them() -> None:
    given = rows(40)
    found, history = fit(given, V1.names, (7, 14), DELAY)
    assert isinstance(history, HistoryChoice)
    assert set(history.days) <= {7, 14}
    assert set(history.tried) == {"7 days", "14 days", "7+14 days"}
    assert max(history.tried.values()) <= 1
    scored = found.out_of_fold
    # Three weeks, the last of them ending with the rows.
    assert len(scored.probability) == len(scored.rows.event_time) == (given.event_time > given.event_time.max() - 21 * DAY).sum()
    assert scored.rows.user is not None
    assert found.booster.feature_names == list(V1.names)


def test_few_frauds_are_too_few() -> None:
    given = rows(40)
    few = np.zeros(4_000, np.bool_)
    few[::500] = True
    with pytest.raises(UserError, match=r"only 8 of the 4,000 transactions to learn from are frauds, too few .* at least 10"):
        require_enough_frauds(few)
    require_enough_frauds(given.is_fraud)
    require_enough_frauds(np.zeros(4_000, np.bool_))


def why_plain_split(given: TrainingSet, histories: tuple[int, ...]) -> str:
    found, history = fit(given, V1.names, histories, DELAY)
    assert "validation_share" in found.parameters
    assert isinstance(history, TooLittle)
    return history.reason


def test_few_days_are_all_learnt_from_and_the_reason_is_given() -> None:
    assert why_plain_split(rows(12), (7, 14)) == "there is no week with frauds to choose a history by among the 12 days of known labels"
    assert why_plain_split(rows(40), ()) == "there were no lengths of history to choose from"
    given = rows(40)
    quiet = replace(given, is_fraud=given.is_fraud & (given.event_time < given.event_time.max() - 2 * DAY))
    assert why_plain_split(quiet, (2,)).startswith("the newest 2 days, the history that was chosen,")


def test_what_is_wrong_with_the_rows_is_not_answered_with_another_model(monkeypatch: pytest.MonkeyPatch) -> None:
    given = rows(40)
    with pytest.raises(UserError, match="none of the 4,000 transactions to learn from is a fraud"):
        fit(replace(given, is_fraud=np.zeros(4_000, np.bool_)), V1.names, (7, 14), DELAY)

    def refused(*_: object) -> None:
        raise UserError("these rows can't be used")

    monkeypatch.setattr(XGBoostLearner, "fit", refused)
    with pytest.raises(UserError, match="these rows can't be used"):
        fit(given, V1.names, (7, 14), DELAY)
