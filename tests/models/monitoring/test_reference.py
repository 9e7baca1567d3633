"""The reference for drift: where values fell, over all and by weekday."""

import numpy as np
import pytest

from features.definitions import DAY
from models.monitoring.reference import Histogram, Reference, histogram, reference

MONDAY = 4 * DAY  # 1970-01-05
RNG = np.random.default_rng(0)


def test_quantile_bins_are_of_equal_size() -> None:
    values = RNG.lognormal(3, 2, 10_000)
    values[:500] = np.nan
    found = histogram(values, np.zeros(10_000, np.int64))
    assert found.categories is None
    assert found.counts[-1] == 500
    assert max(found.counts[:-1]) - min(found.counts[:-1]) <= 2
    assert len(found.counts) == len(found.bins) == 21


def test_few_whole_values_are_categories_and_others_are_told_apart() -> None:
    found = histogram(np.array([0, 1, 1, 5, np.nan]), np.zeros(5, np.int64))
    assert (found.categories, found.counts, found.bins) == ((0.0, 1.0, 5.0), (1, 2, 1, 0, 1), ("0", "1", "5", "other", "missing"))
    assert found.count(np.array([5, 2, 7, -1, np.nan])).tolist() == [0, 0, 1, 3, 1]


def test_counting_the_same_values_gives_the_same_counts() -> None:
    values = np.round(RNG.lognormal(3, 2, 5_000), 1).astype(np.float32)
    values[::7] = np.nan
    found = histogram(values, np.zeros(5_000, np.int64))
    assert found.count(values).tolist() == list(found.counts)
    assert found.count(np.array([1e30, -1e30])).tolist() == [1, *[0] * (len(found.counts) - 3), 1, 0]


def test_each_weekday_has_its_own_counts() -> None:
    time = MONDAY + np.array([0, 0, 1, 6, 7]) * DAY
    found = reference(("a",), np.array([[1], [2], [2], [1], [1]], np.float32), time)
    assert found.features["a"].by_weekday == (
        (2, 1, 0, 0), (0, 1, 0, 0), (0,) * 4, (0,) * 4, (0,) * 4, (0,) * 4, (1, 0, 0, 0),
    )  # fmt: skip
    assert found.features["a"].counts == (3, 2, 0, 0)
    assert found.scores is None


@pytest.mark.parametrize("values", [np.full(10, np.nan), np.full(10, 0.25), np.arange(10) / 7])
def test_odd_values_are_counted_too(values: np.ndarray) -> None:
    found = histogram(values, np.zeros(10, np.int64))
    assert sum(found.counts) == 10
    assert found.count(values).tolist() == list(found.counts)


def test_it_survives_being_written() -> None:
    time = np.arange(20_000) * DAY // 500
    scores = RNG.random(20_000)
    found = reference(("a", "b"), RNG.random((20_000, 2)).astype(np.float32), time, scores, time)
    assert Reference.from_json(found.to_json()) == found
    assert isinstance(found.scores, Histogram)
    assert (found.rows, found.score_rows, sum(found.scores.counts)) == (20_000, 20_000, 20_000)
    assert found.in_control is not None
    assert set(found.in_control.columns) == {"a", "b"}
    with pytest.raises(ValueError, match="at least one row"):
        reference(("a",), np.empty((0, 1), np.float32), np.empty(0, np.int64))


def test_what_is_older_than_eight_weeks_is_left_out() -> None:
    time, values = np.arange(0, 100 * DAY, DAY // 4), np.arange(400, dtype=np.float32)[:, None]
    found = reference(("a",), values, time, values[:, 0] / 400, time)
    kept = time >= (100 - 56) * DAY
    newest = reference(("a",), values[kept], time[kept], values[kept, 0] / 400, time[kept])
    assert found == newest
    assert (found.first, found.rows, found.score_rows) == ((100 - 56) * DAY, 224, 224)
