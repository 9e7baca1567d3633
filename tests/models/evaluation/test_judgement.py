"""The figures of an evaluation are scikit-learn's, or plain arithmetic over the rows."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, f1_score, precision_score, recall_score, roc_auc_score, roc_curve

from features.definitions import DAY
from models.costs import Costs
from models.evaluation.bootstrap import Clusters
from models.evaluation.judgement import CARDS_A_DAY, Decided, Evaluation, Statistic, evaluate, judge
from models.evaluation.metrics import card_precision_at_k
from models.evaluation.scored_rows import KnownFrauds, ScoredRows, amount_bands, newness
from models.policy import UNREACHABLE, Policy
from tests.benchmarks.handbook.handbook_protocol import judged_rows
from tests.made.scored_rows import scored

POLICY = Policy(review_threshold=0.3, block_threshold=0.6, elevated_threshold=0.2, highest_threshold=0.5)
COSTS = Costs()
ROWS = scored()
KNOWN = KnownFrauds.of(ROWS.event_time, ROWS.user, ROWS.is_fraud, 7 * DAY)


def plain(rows: ScoredRows, weight: np.ndarray | None = None) -> dict[str, float]:
    return Statistic(rows, Decided.by(POLICY, rows.probability), COSTS)(np.ones(len(rows), np.int64) if weight is None else weight)


def test_figures_are_those_of_scikit_learn() -> None:
    found = plain(ROWS)
    fraud, probability = ROWS.is_fraud, ROWS.probability
    assert found["auc_roc"] == pytest.approx(roc_auc_score(fraud, probability))
    assert found["average_precision"] == pytest.approx(average_precision_score(fraud, probability))
    assert found["brier"] == pytest.approx(brier_score_loss(fraud, probability))
    assert found["card_precision_at_100"] == pytest.approx(
        card_precision_at_k(ROWS.event_time // DAY, ROWS.user, fraud, probability, CARDS_A_DAY)
    )
    for name, threshold in (("review", 0.3), ("block", 0.6)):
        decided = probability >= threshold
        assert found[f"{name}_precision"] == pytest.approx(precision_score(fraud, decided))
        assert found[f"{name}_recall"] == pytest.approx(recall_score(fraud, decided))
        assert found[f"{name}_f1"] == pytest.approx(f1_score(fraud, decided))
    false_positives, recall, _ = roc_curve(fraud, probability, drop_intermediate=False)
    for name, rate in (("0.1", 0.001), ("0.5", 0.005), ("1", 0.01)):
        assert found[f"recall_at_{name}_percent_fpr"] == pytest.approx(recall[false_positives <= rate].max())


def test_a_weight_of_two_counts_like_two_rows() -> None:
    rng = np.random.default_rng(1)
    of_user = rng.integers(0, 3, ROWS.user.max() + 1)
    weight = of_user[ROWS.user]
    twice = np.repeat(np.arange(len(ROWS)), weight)
    repeated = ScoredRows(*(getattr(ROWS, name)[twice] for name in ("event_time", "user", "amount", "is_fraud", "probability")))
    expected = Statistic(repeated, Decided.by(POLICY, repeated.probability), COSTS)(np.ones(len(repeated), np.int64))
    found = plain(ROWS, weight)
    # Cards and bins are of the rows as they are, so their figures are compared where they are defined alike.
    for name in expected.keys() - {"card_precision_at_100", "calibration_error"}:
        assert found[name] == pytest.approx(expected[name]), name


def test_money_saved_is_loss_prevented_minus_false_positives_minus_reviews() -> None:
    rows = ScoredRows(
        np.arange(6), np.arange(6), np.full(6, 10_000), np.array([1, 1, 1, 0, 0, 0], bool), np.array([0.9, 0.4, 0.1, 0.9, 0.4, 0.1])
    )
    costs = Costs(fraud_loss=1.0, chargeback_fee=500, margin=0.1, goodwill=200, review=300)
    found = Statistic(rows, Decided.by(POLICY, rows.probability), costs)(np.ones(6, np.int64))
    prevented, turned_away, reviews = 2 * (10_000 + 500), 1_000 + 200, 2 * 300
    assert found["money_saved"] == prevented - turned_away - reviews
    assert found["cost_of_no_decisions"] == 3 * 10_500
    assert found["cost"] == 3 * 10_500 - found["money_saved"]


def test_probabilities_that_mean_what_they_say_have_no_calibration_error() -> None:
    rng = np.random.default_rng(0)
    probability = rng.uniform(0, 0.2, 200_000)
    honest = replace(scored(200_000), probability=probability, is_fraud=rng.random(200_000) < probability)
    assert plain(honest)["calibration_error"] < 0.003
    assert plain(replace(honest, probability=probability * 2))["calibration_error"] == pytest.approx(0.1, abs=0.005)


def test_intervals_hold_the_figure_and_the_same_seed_gives_the_same() -> None:
    found = judge(ROWS, POLICY, COSTS, resamples=50)
    assert found == judge(ROWS, POLICY, COSTS, resamples=50)
    assert found != judge(ROWS, POLICY, COSTS, seed=1, resamples=50)
    for name in found.figures.keys() - {"calibration_error"}:
        figure = found.figures[name]
        assert figure.low <= figure.value <= figure.high, name  # type: ignore[operator]


def test_the_calibration_error_has_no_interval_for_resamples_lie_around_another_value() -> None:
    rng = np.random.default_rng(0)
    figure = judge(ROWS, POLICY, COSTS, resamples=20).figures["calibration_error"]
    assert (figure.value, figure.low, figure.high) == (plain(ROWS)["calibration_error"], None, None)
    of_rows, of_resamples = [], []
    for _ in range(10):
        probability = rng.uniform(0, 0.2, len(ROWS))
        honest = replace(ROWS, probability=probability, is_fraud=rng.random(len(ROWS)) < probability)
        statistic = Statistic(honest, Decided.by(POLICY, honest.probability), COSTS)
        of_rows.append(plain(honest)["calibration_error"])
        of_resamples += [statistic(weight)["calibration_error"] for weight in Clusters.of(honest.user).weights(rng, 20)]
    assert np.mean(of_resamples) > 1.2 * np.mean(of_rows)


def test_rows_of_few_frauds_have_figures_without_intervals() -> None:
    few = ROWS.where(~ROWS.is_fraud | (np.cumsum(ROWS.is_fraud) <= 3))
    figure = judge(few, POLICY, COSTS).figures["auc_roc"]
    assert figure.value is not None
    assert figure.low is figure.high is None
    none = judge(ROWS.where(~ROWS.is_fraud), POLICY, COSTS)
    assert none.figures["auc_roc"].value is none.figures["review_recall"].value is None
    assert judge(ROWS.where(np.zeros(len(ROWS), bool)), POLICY, COSTS).rows == 0


def test_a_segment_is_judged_by_its_own_rows() -> None:
    found = evaluate(ROWS, POLICY, COSTS, KNOWN, resamples=0)
    assert list(found.segments["amount"]) == ["below 10", "10 to 50", "50 to 220", "220 and more"]
    assert sum(part.rows for part in found.segments["amount"].values()) == len(ROWS)
    large = ROWS.where(ROWS.amount >= 22_000)
    assert found.segments["amount"]["220 and more"] == judge(large, POLICY, COSTS, resamples=0)
    assert msgspec.json.decode(found.to_json(), type=Evaluation) == found


def test_amounts_and_ages_fall_into_their_parts() -> None:
    assert amount_bands(np.array([0, 999, 1_000, 4_999, 21_999, 22_000])).tolist() == [
        "below 10", "below 10", "10 to 50", "10 to 50", "50 to 220", "220 and more",
    ]  # fmt: skip
    assert newness(np.array([np.nan, 0.0, 7 * 86_400 - 1, 7 * 86_400])).tolist() == ["new", "new", "new", "known"]


def test_customers_known_to_be_compromised_are_excluded_from_the_day_after_the_label() -> None:
    # Day         0  6  7  8  9   of user 0, whose fraud on day 0 is known on day 7; and user 1, who has none.
    day = np.array([0, 6, 7, 8, 9, 9])
    user = np.array([0, 0, 0, 0, 0, 1])
    is_fraud = np.array([True, False, False, False, False, False])
    rows = ScoredRows(day * DAY + DAY // 2, user, np.ones(6, np.int64), is_fraud, np.zeros(6))
    known = KnownFrauds.of(rows.event_time, user, is_fraud, 7 * DAY)
    assert known.unknown(rows).tolist() == [True, True, True, False, False, True]
    # Of a fraud before the week before, the handbook no longer knows.
    assert known.unknown(rows.where(day >= 8)).tolist() == [False, False, True]
    assert known.unknown(replace(rows, event_time=rows.event_time + 15 * DAY)).all()


def test_the_exclusion_is_the_handbooks() -> None:
    rows = scored(20_000, days=28)
    begin = 3 * DAY
    known = KnownFrauds.of(rows.event_time, rows.user, rows.is_fraud, 7 * DAY)
    week = np.flatnonzero((rows.event_time >= begin + 14 * DAY) & (rows.event_time < begin + 21 * DAY))
    left = week[known.unknown(rows.where((rows.event_time >= begin + 14 * DAY) & (rows.event_time < begin + 21 * DAY)))]
    assert left.tolist() == sorted(judged_rows(rows.event_time, rows.user, rows.is_fraud, begin).tolist())
    assert 0 < len(left) < len(week)


def test_metrics_for_the_table_of_runs_are_flat_numbers() -> None:
    found = evaluate(ROWS, replace_never(POLICY), COSTS, KNOWN, resamples=10).as_metrics("eval_")
    assert found["eval_auc_roc_low"] <= found["eval_auc_roc"] <= found["eval_auc_roc_high"]
    assert "eval_auc_roc_unknown_customers" in found
    # Nothing is blocked, so its precision is unknown.
    assert "eval_block_precision" not in found
    assert all(np.isfinite(value) for value in found.values())


def replace_never(policy: Policy) -> Policy:
    return msgspec.structs.replace(policy, block_threshold=UNREACHABLE)


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        ScoredRows(np.arange(2), np.arange(2), np.arange(2), np.zeros(2, bool), np.zeros(3))
