"""The handbook's protocol picks the rows that its authors published figures for."""

import os

import numpy as np
import pyarrow as pa
import pytest

from features.definitions import DAY
from tests.benchmarks.handbook.handbook_protocol import PUBLISHED, PUBLISHED_BEGIN, Figures, figures, judged_rows, training_rows


@pytest.fixture(scope="module")
def columns(handbook: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return handbook["event_time"].to_numpy(), handbook["user_id"].to_numpy(), handbook["is_fraud"].to_numpy()


def test_the_published_week_has_the_published_rows(columns: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    event_time, user, is_fraud = columns
    training = training_rows(event_time, PUBLISHED_BEGIN)
    judged = judged_rows(event_time, user, is_fraud, PUBLISHED_BEGIN)
    if os.environ.get("TIDEMARK_HANDBOOK"):
        assert (len(training), is_fraud[training].sum()) == (67_240, 598)
        assert (len(judged), is_fraud[judged].sum()) == (58_264, 385)
    assert judged.tolist() == slowly_judged(event_time, user, is_fraud, PUBLISHED_BEGIN)


def slowly_judged(event_time: np.ndarray, user: np.ndarray, is_fraud: np.ndarray, begin: int) -> list[int]:
    """As the handbook's own get_train_test_set does it, with sets."""
    day = ((event_time - begin) // DAY).tolist()
    users, frauds = user.tolist(), is_fraud.tolist()
    known = {users[i] for i in range(len(day)) if 0 <= day[i] < 7 and frauds[i]}
    rows = []
    for offset in range(7):
        known |= {users[i] for i in range(len(day)) if day[i] == 7 + offset - 1 and frauds[i]}
        rows += [i for i in range(len(day)) if day[i] == 14 + offset and users[i] not in known]
    return rows


def test_a_model_that_knows_all_is_perfect_but_for_the_cards_looked_at(columns: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    event_time, user, is_fraud = columns
    rows = judged_rows(event_time, user, is_fraud, PUBLISHED_BEGIN)
    best = figures(event_time[rows], user[rows], is_fraud[rows], is_fraud[rows].astype(np.float64))
    assert (best.auc, best.ap) == (1.0, 1.0)
    assert 0 < best.cp100 < 1


def test_beating_means_all_three() -> None:
    assert Figures(0.9, 0.7, 0.3).beats(PUBLISHED)
    assert not Figures(0.9, 0.7, PUBLISHED.cp100).beats(PUBLISHED)
    assert not Figures(0.9, 0.6, 0.3).beats(PUBLISHED)
