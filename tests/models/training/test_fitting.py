"""Where past weeks can be lived again they choose the history; where rows are few, all are learnt from."""

from dataclasses import replace

import numpy as np
import pytest

from features.definitions import DAY
from features.errors import UserError
from models.training.fitting import fit, require_enough_frauds
from models.training_set.rows import TrainingSet
from tests.made.models import V1, learnable

DELAY = 7 * DAY


def rows(days: int) -> TrainingSet:
    made = learnable(4_000)
    return replace(made, event_time=np.sort(np.random.default_rng(0).integers(0, days * DAY, 4_000)), user=np.arange(4_000) % 200)


def test_the_newest_weeks_are_scored_by_models_that_had_not_seen_them() -> None:
    given = rows(40)
    found = fit(given, V1.names, (7, 14), DELAY)
    assert found.choice is not None
    assert set(found.choice.days) <= {7, 14}
    assert max(found.choice.tried.values()) <= 1
    scored = found.trained.out_of_fold
    assert scored is not None
    # Three weeks, the last of them ending with the rows.
    assert len(scored.probability) == len(scored.rows.event_time) == (given.event_time > given.event_time.max() - 21 * DAY).sum()
    assert scored.rows.user is not None
    assert found.trained.booster.feature_names == list(V1.names)


def test_few_frauds_are_too_few() -> None:
    given = rows(40)
    few = np.zeros(4_000, np.bool_)
    few[::500] = True
    with pytest.raises(UserError, match=r"only 8 of the 4,000 transactions to learn from are frauds, too few .* at least 10"):
        require_enough_frauds(replace(given, is_fraud=few))
    require_enough_frauds(given)
    require_enough_frauds(replace(given, is_fraud=np.zeros(4_000, np.bool_)))


def test_few_days_are_all_learnt_from() -> None:
    given = rows(12)
    found = fit(given, V1.names, (7, 14), DELAY)
    assert found.choice is None
    assert found.trained.out_of_fold is not None
    assert fit(rows(40), V1.names, (), DELAY).choice is None
