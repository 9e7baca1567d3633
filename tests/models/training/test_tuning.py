"""The search for hyper-parameters: on weeks before those that judge, always the same, and refused where there are none."""

from dataclasses import replace

import numpy as np
import pytest

from features.definitions import DAY
from features.errors import UserError
from models.training.fitting import fit
from models.training.recipe import PARAMETERS
from models.training.search import Trial
from models.training.tuning import SearchBudget, space, tuned
from models.training_set.rows import TrainingSet
from tests.made.models import V1, learnable

DELAY = 7 * DAY


def spread(days: int, n: int = 4_000) -> TrainingSet:
    made = learnable(n)
    return replace(made, event_time=np.sort(np.random.default_rng(0).integers(0, days * DAY, n)), user=np.arange(n) % 200)


def seeded() -> np.random.Generator:
    return np.random.default_rng(0)


def test_what_is_in_use_is_tried_first() -> None:
    first = {name: values[0] for name, values in space().items()}
    assert {name: first[name] for name in PARAMETERS} == dict(PARAMETERS)
    assert first["reg_lambda"] == 1.0
    assert all(len(set(values)) == len(values) for values in space().values())


def test_the_weeks_that_judge_have_no_say() -> None:
    # day 0                          39                60
    #     learnt from and searched   │  judge          │
    rows = spread(60)
    newest = rows.event_time > rows.event_time.max() - 21 * DAY
    reports: list[tuple[Trial, int]] = []
    begun: list[bool] = []
    budget = SearchBudget(2, report=lambda best, done: reports.append((best, done)), begun=lambda: begun.append(not reports))
    found = tuned(rows, V1.names, 14, DELAY, budget, seeded())
    assert begun == [True]
    other = replace(rows, is_fraud=np.where(newest, ~rows.is_fraud, rows.is_fraud), vectors=np.where(newest[:, None], 0, rows.vectors))
    assert tuned(other, V1.names, 14, DELAY, SearchBudget(2), seeded()) == found
    assert (found[1], [done for _, done in reports]) == (2, [1, 2])
    assert found[0].score > 0.3


def test_what_was_found_is_what_the_model_is_grown_with() -> None:
    for histories in ((7, 14), ()):
        found, _ = fit(spread(40), V1.names, histories, DELAY, parameters={"max_depth": 2, "eta": 0.2})
        assert (found.parameters["max_depth"], found.parameters["eta"]) == (2, 0.2)


def test_too_few_days_are_refused() -> None:
    with pytest.raises(UserError, match="at least 41 days of known labels, and there are 30"):
        tuned(spread(30), V1.names, 14, DELAY, SearchBudget(1), seeded())
