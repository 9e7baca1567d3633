"""The last steps of a training, rehearsed: what is judged had no part in what was chosen."""

from dataclasses import replace

import numpy as np
import pytest

from features.definitions import DAY
from features.errors import UserError
from models.costs import Costs
from models.evaluation.scored_rows import KnownFrauds
from models.learners.trained import OutOfFold
from models.training.fit import Fit
from models.training.rehearsal import Rehearsal, rehearse, scored_rows, with_policy
from models.training.thresholds import choose_policy
from models.training_set.rows import TrainingSet
from tests.made.models import V1, booster
from tests.made.scored_rows import scored

WEEK = 7 * DAY


def out_of_fold(days: int) -> OutOfFold:
    rows = scored(6_000, days=days)
    vectors = np.zeros((6_000, len(V1.names)), np.float32)
    vectors[:, V1.names.index("user_age_seconds")] = rows.event_time / 1_000
    country = np.where(np.arange(6_000) % 3 == 0, "DE", "")
    return OutOfFold(TrainingSet(vectors, rows.is_fraud, rows.event_time, rows.amount, user=rows.user, country=country), rows.probability)


def rehearsed(found: OutOfFold) -> Rehearsal:
    rows = found.rows
    assert rows.user is not None
    return rehearse(found, V1.names, Costs(), 0.01, KnownFrauds.of(rows.event_time, rows.user, rows.is_fraud, WEEK), resamples=0)


@pytest.mark.parametrize(
    ("days", "chosen_until", "judged_from", "gap"),
    [
        #       |-- chosen --|--- gap ---|- judged -|
        (28, 14, 21, WEEK),
        (21, 7, 14, WEEK),
        (14, 7, 7, 0),  # a gap would leave nothing to choose by
        (4, 2, 2, 0),
    ],
)
def test_the_newest_week_is_judged_a_label_delay_after_the_choice(days: int, chosen_until: int, judged_from: int, gap: int) -> None:
    found = out_of_fold(days)
    done = rehearsed(found)
    assert done.gap == gap
    assert abs(done.evaluation.first - judged_from * DAY) < DAY // 4
    rows = found.rows
    first, last = rows.event_time.min(), rows.event_time.max()
    chosen = rows.event_time < last + 1 - min(WEEK, (last - first + 1) // 2) - gap
    assert abs(rows.event_time[chosen].max() - chosen_until * DAY) < DAY // 4
    assert done.policy == choose_policy(found.probability[chosen], rows.amount[chosen], rows.is_fraud[chosen], Costs(), capacity=0.01)


def test_labels_of_the_judged_rows_change_no_threshold() -> None:
    found = out_of_fold(21)
    later = found.rows.event_time >= 14 * DAY
    altered = OutOfFold(replace(found.rows, is_fraud=np.where(later, ~found.rows.is_fraud, found.rows.is_fraud)), found.probability)
    assert rehearsed(altered).policy == rehearsed(found).policy
    assert rehearsed(altered).evaluation != rehearsed(found).evaluation


def test_rows_are_divided_by_amount_user_and_country() -> None:
    found = out_of_fold(21)
    segments = scored_rows(found.rows, V1.names, found.probability).segments
    assert set(segments) == {"amount", "user", "country"}
    assert set(segments["country"].tolist()) == {"DE", "unknown"}
    assert set(segments["user"].tolist()) == {"new", "known"}
    nameless = replace(found.rows, country=np.full(6_000, ""))
    assert "country" not in scored_rows(nameless, V1.names, found.probability).segments
    with pytest.raises(ValueError, match="rows without users can't be judged"):
        scored_rows(replace(found.rows, user=None), V1.names, found.probability)


def test_the_policy_that_serves_is_chosen_on_all_of_them() -> None:
    found = out_of_fold(21)
    served = with_policy(Fit(booster(), {"eta": 0.1}, found), Costs(), 0.01)
    chosen = served.policy.chosen
    assert chosen is not None
    assert (chosen.rows, chosen.costs) == (6_000, Costs())
    assert (served.parameters, served.metrics) == ({"eta": 0.1}, found.metrics())


def test_where_the_newest_week_has_too_few_frauds_more_is_judged() -> None:
    found = out_of_fold(56)
    rows = replace(found.rows, is_fraud=found.rows.is_fraud & (found.rows.event_time < 45 * DAY))
    done = rehearsed(OutOfFold(rows, found.probability))
    assert abs(done.evaluation.first - 42 * DAY) < DAY // 4
    assert done.gap == WEEK


def test_a_part_without_frauds_is_refused() -> None:
    found = out_of_fold(21)
    rows = replace(found.rows, is_fraud=found.rows.is_fraud & (found.rows.event_time < 9 * DAY))
    with pytest.raises(UserError, match="the later part, which judges them, of the validation rows has 0 frauds among"):
        rehearsed(OutOfFold(rows, found.probability))
