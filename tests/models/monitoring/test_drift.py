"""What is called drift, and what isn't: a weekend, or the same once more."""

import numpy as np
import pytest

from features.definitions import DAY
from models.monitoring.drift import drifts
from models.monitoring.reference import Reference, reference

MONDAY = 4 * DAY  # 1970-01-05
RNG = np.random.default_rng(0)


def world(n: int, days: int, seed: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors of an amount that is ten times as large at weekends, a count with few values and one that may be missing; scores; times."""
    rng = np.random.default_rng(seed)
    time = MONDAY + np.sort(rng.integers(0, days * DAY, n))
    weekend = (time // DAY + 3) % 7 >= 5
    amount = rng.lognormal(3 + shift, 1, n) * np.where(weekend, 10, 1)
    count = rng.integers(0, 5, n).astype(np.float64)
    ratio = np.where(rng.random(n) < 0.1, np.nan, rng.random(n))
    return np.column_stack([amount, count, ratio]).astype(np.float32), rng.beta(1, 30, n), time


NAMES = ("amount", "count", "ratio")


@pytest.fixture(scope="module")
def made() -> Reference:
    vectors, scores, time = world(60_000, 28, 1)
    return reference(NAMES, vectors, time, scores, time)


def columns(vectors: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(NAMES, vectors.T, strict=True))


def test_the_same_once_more_is_no_drift(made: Reference) -> None:
    vectors, scores, time = world(20_000, 14, 2)
    found = drifts(made, columns(vectors), scores, time)
    assert {drift.name for drift in found} == {*NAMES, "score"}
    assert {drift.level for drift in found} == {"none"}
    (ratio,) = [drift for drift in found if drift.name == "ratio"]
    assert (ratio.missing, ratio.missing_then) == (pytest.approx(0.1, abs=0.01), pytest.approx(0.1, abs=0.01))


def test_a_weekend_is_no_drift(made: Reference) -> None:
    vectors, scores, time = world(20_000, 7, 3)
    weekend = (time // DAY + 3) % 7 >= 5
    found = {drift.name: drift for drift in drifts(made, columns(vectors[weekend]), scores[weekend], time[weekend])}
    assert found["amount"].level == "none"
    # Which is no small thing: against all days it would be much.
    blind = Reference(
        made.rows,
        made.first,
        made.last,
        {name: type(h)(h.edges, h.categories, h.counts, (h.counts,) * 7) for name, h in made.features.items()},
        made.score_rows,
        made.scores,
    )
    against_all = {drift.name: drift for drift in drifts(blind, columns(vectors[weekend]), scores[weekend], time[weekend])}
    assert against_all["amount"].level == "much"


def test_what_has_moved_comes_first(made: Reference) -> None:
    vectors, scores, time = world(20_000, 14, 4, shift=1.0)
    vectors[::3, 1] = 7
    vectors[:, 2] = np.nan
    ratio, *_ = found = drifts(made, columns(vectors), scores, time)
    assert (ratio.name, ratio.level, ratio.missing) == ("ratio", "much", 1.0)
    by_name = {drift.name: drift for drift in found}
    assert by_name["amount"].level == "much"
    assert by_name["count"].unseen == pytest.approx(1 / 3, abs=0.01)
    assert by_name["score"].level == "none"
    assert [drift.psi for drift in found] == sorted((drift.psi for drift in found), reverse=True)


def test_a_weekday_that_the_reference_lacks_counts_like_all_days() -> None:
    vectors, scores, time = world(20_000, 5, 5)  # Monday to Friday
    made = reference(NAMES, vectors, time, scores, time)
    vectors, scores, time = world(20_000, 5, 6)
    assert {drift.level for drift in drifts(made, columns(vectors), scores, time + 5 * DAY)} == {"none"}


def test_without_rows_there_is_nothing_to_say(made: Reference) -> None:
    with pytest.raises(ValueError, match="at least one row"):
        drifts(made, columns(np.empty((0, 3), np.float32)), np.empty(0), np.empty(0, np.int64))
