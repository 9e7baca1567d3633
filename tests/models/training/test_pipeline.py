"""What a candidate's record keeps of how it came about."""

import numpy as np
import pytest

from features.definitions import DAY
from models.training.history_choice import HistoryChoice
from models.training.pipeline import Candidate, TrainingPlan, candidate, recorded, tags_of
from models.training.summary import history_summary
from models.training_set.rows import TrainingSet
from models.training_set.snapshot import DataSnapshot, Provenance
from tests.made.models import V1, learnable

DELAY = 7 * DAY


def rows(days: int) -> TrainingSet:
    made = learnable(4_000)
    event_time = np.sort(np.random.default_rng(0).integers(0, days * DAY, 4_000))
    return TrainingSet(made.vectors, made.is_fraud, event_time, made.amount, user=np.arange(4_000) % 200)


def plan(days: int) -> TrainingPlan:
    return TrainingPlan(V1, 0, days * DAY, days * DAY + DELAY, DELAY, histories=(7, 14), resamples=0)


def card(found: Candidate, days: int) -> str:
    return recorded(found, plan(days), DataSnapshot(("made",), 4_000, 0, 1, "0" * 64), Provenance("ada", "2026-01-01", "c0de")).card


def test_the_reason_for_a_plain_split_is_on_record() -> None:
    found = candidate(rows(12), plan(12))
    reason = "there is no week with frauds to choose a history by among the 12 days of known labels"
    assert found.why_plain_split == reason
    assert tags_of(found, plan(12))["plain_split_because"] == reason
    assert "history_days" not in tags_of(found, plan(12))
    assert f"- fitted by a plain split in time, because {reason}\n" in card(found, 12)
    assert history_summary(found) is None


def test_a_choice_of_history_is_on_record() -> None:
    found = candidate(rows(40), plan(40))
    assert isinstance(found.history, HistoryChoice)
    assert found.why_plain_split is None
    tags = tags_of(found, plan(40))
    assert tags["history_days"] == "+".join(map(str, found.history.days))
    assert "plain_split_because" not in tags
    assert "plain split" not in card(found, 40)
    assert history_summary(found) == {"days": found.history.days, "tried": found.history.tried}


def test_thresholds_are_chosen_once_by_cost_on_all_out_of_fold_rows() -> None:
    found = candidate(rows(40), plan(40))
    chosen = found.trained.policy.chosen
    assert chosen is not None
    assert (chosen.rows, chosen.costs) == (len(found.out_of_fold.probability), plan(40).costs)
    assert found.trained.metrics == pytest.approx(found.out_of_fold.metrics())
