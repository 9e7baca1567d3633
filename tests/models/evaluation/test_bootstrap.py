"""Users are drawn whole, figures of weighted rows are those of repeated rows, and intervals hold what they should."""

import numpy as np
import pytest

from models.evaluation.bootstrap import Clusters, Interval, bootstrap, percentile_interval
from models.evaluation.metrics import auc_roc, average_precision, card_precision_at_k
from models.evaluation.weighted_metrics import CardRanking, Ranking


def scored(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Day, user, is_fraud and a coarse probability, so that there are ties."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 5, n), rng.integers(0, 60, n), rng.random(n) < 0.1, np.round(rng.random(n), 1)


def test_all_rows_of_a_user_have_one_weight() -> None:
    user = np.array(["b", "a", "b", "c", "a"])
    for weight in Clusters.of(user).weights(np.random.default_rng(0), 50):
        assert weight[0] == weight[2]
        assert weight[1] == weight[4]
        assert weight[0] + weight[1] + weight[3] == 3


@pytest.mark.parametrize("seed", range(5))
def test_weighted_metrics_are_those_of_repeated_rows(seed: int) -> None:
    _, user, is_fraud, probability = scored(seed)
    ranking = Ranking.of(is_fraud, probability)
    for weight in Clusters.of(user).weights(np.random.default_rng(seed), 5):
        repeated = np.repeat(np.arange(len(weight)), weight)
        curve = ranking.curve(weight)
        assert curve.auc_roc == pytest.approx(auc_roc(is_fraud[repeated], probability[repeated]), abs=1e-12)
        assert curve.average_precision == pytest.approx(average_precision(is_fraud[repeated], probability[repeated]), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_weighted_card_precision_drops_and_keeps_whole_cards(seed: int) -> None:
    day, user, is_fraud, probability = scored(seed)
    probability = probability + np.arange(len(day)) * 1e-6  # no ties, for these go by user
    ranking = CardRanking.of(day, user, is_fraud, probability)
    everyone = np.ones(len(day), np.int64)
    assert ranking.card_precision_at_k(everyone, 7) == card_precision_at_k(day, user, is_fraud, probability, 7)
    some = user % 3 != 0
    expected = card_precision_at_k(day[some], user[some], is_fraud[some], probability[some], 7)
    assert ranking.card_precision_at_k(some.astype(np.int64), 7) == expected
    # Everybody twice and twice as many looked at: the same share is found.
    assert ranking.card_precision_at_k(2 * everyone, 14) == ranking.card_precision_at_k(everyone, 7)


def test_one_class_alone_has_no_figure() -> None:
    ranking = Ranking.of(np.array([True, False]), np.array([0.9, 0.1]))
    assert np.isnan(ranking.curve(np.array([1, 0])).auc_roc)
    assert np.isnan(ranking.curve(np.array([0, 3])).average_precision)
    with pytest.raises(ValueError, match="at least one"):
        Ranking.of(np.array([], np.bool_), np.array([]))


def test_intervals_are_seeded_and_hold_the_figure() -> None:
    _, user, is_fraud, probability = scored(3)
    ranking = Ranking.of(is_fraud, probability + is_fraud * 0.3)

    def found(seed: int) -> Interval:
        return bootstrap(user, lambda weight: {"auc": ranking.curve(weight).auc_roc}, np.random.default_rng(seed), resamples=200)["auc"]

    assert found(0) == found(0) != found(1)
    assert found(0).low < found(0).value < found(0).high
    assert found(0).above(0.5)
    assert not found(0).above(found(0).value)


def test_few_large_users_make_it_wider_than_many_small_ones() -> None:
    rng = np.random.default_rng(0)
    of_user = np.repeat(rng.random(20), 50)

    def mean(weight: np.ndarray) -> dict[str, float]:
        return {"mean": float(np.average(of_user, weights=weight))}

    clustered = bootstrap(np.repeat(np.arange(20), 50), mean, np.random.default_rng(0), resamples=200)["mean"]
    row_by_row = bootstrap(np.arange(1000), mean, np.random.default_rng(0), resamples=200)["mean"]
    assert clustered.high - clustered.low > 4 * (row_by_row.high - row_by_row.low)


def test_resamples_without_a_figure_do_not_count() -> None:
    assert percentile_interval(0.5, np.array([0.4, np.nan, 0.6])) == Interval(0.5, pytest.approx(0.405), pytest.approx(0.595))
    assert np.isnan(percentile_interval(0.5, np.array([np.nan])).low)
    with pytest.raises(ValueError, match="no rows"):
        bootstrap(np.array([]), lambda _: {}, np.random.default_rng(0), resamples=1)
