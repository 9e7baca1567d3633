"""A row that stands for several is counted as several, wherever rows are counted: a sample gives what the whole gives."""

from dataclasses import replace

import numpy as np
import pytest

from features.definitions import DAY
from models.costs import Costs
from models.evaluation.judgement import Decided, Statistic
from models.evaluation.plots import evaluation_plots
from models.evaluation.reliability import reliability
from models.evaluation.scored_rows import KnownFrauds, ScoredRows
from models.learners.trained import OutOfFold
from models.monitoring.reference import reference
from models.policy import Policy
from models.promotion.comparison import compare
from models.training.history_choice import choices
from models.training.rehearsal import rehearse
from models.training.thresholds import choose_policy
from models.training_set.rows import TrainingSet
from models.training_set.thinning import thin
from tests.made.models import V1
from tests.made.scored_rows import scored

COSTS = Costs()
EVERY = 5
# Of a whole in which each legitimate row is there five times, this is the sample.
SAMPLE = replace(scored(4_000), segments={})
SAMPLE = replace(SAMPLE, weight=np.where(SAMPLE.is_fraud, 1.0, EVERY))
TIMES = np.where(SAMPLE.is_fraud, 1, EVERY)
POLICY = Policy(review_threshold=0.3, block_threshold=0.6, elevated_threshold=0.2, highest_threshold=0.5)


def repeated(rows: ScoredRows) -> ScoredRows:
    columns = (rows.event_time, rows.user, rows.amount, rows.is_fraud, rows.probability)
    return ScoredRows(*(np.repeat(column, TIMES) for column in columns))


WHOLE = repeated(SAMPLE)


@pytest.mark.parametrize("capacity", [0.005, 0.05])
def test_a_sample_gives_the_policy_of_the_whole(capacity: float) -> None:
    def policy_of(rows: ScoredRows) -> Policy:
        return choose_policy(rows.probability, rows.amount, rows.is_fraud, COSTS, rows.weight, capacity=capacity)

    assert policy_of(SAMPLE) == policy_of(WHOLE)
    assert policy_of(SAMPLE) != policy_of(replace(SAMPLE, weight=None))


def test_a_sample_gives_the_figures_of_the_whole() -> None:
    ones = np.ones(len(SAMPLE), np.int64)
    of_sample = Statistic(SAMPLE, Decided.by(POLICY, SAMPLE.probability), COSTS)(ones)
    of_whole = Statistic(WHOLE, Decided.by(POLICY, WHOLE.probability), COSTS)(np.repeat(ones, TIMES))
    assert of_sample == pytest.approx(of_whole)
    # So too if users are drawn several times, or never.
    drawn = np.random.default_rng(0).integers(0, 3, SAMPLE.user.max() + 1)
    of_sample, of_whole = (Statistic(rows, Decided.by(POLICY, rows.probability), COSTS)(drawn[rows.user]) for rows in (SAMPLE, WHOLE))
    assert of_sample == pytest.approx(of_whole)
    unweighted = Statistic(replace(SAMPLE, weight=None), Decided.by(POLICY, SAMPLE.probability), COSTS)(ones)
    assert unweighted["brier"] > 1.5 * Statistic(SAMPLE, Decided.by(POLICY, SAMPLE.probability), COSTS)(ones)["brier"]
    for one, other in zip(
        reliability(SAMPLE.probability, SAMPLE.is_fraud, SAMPLE.weight), reliability(WHOLE.probability, WHOLE.is_fraud), strict=True
    ):
        assert one == pytest.approx(other)


def test_a_sample_gives_the_comparison_of_the_whole() -> None:
    other = SAMPLE.probability**1.1
    of_sample = compare(SAMPLE, (other, POLICY), (SAMPLE.probability, POLICY), COSTS)
    of_whole = compare(WHOLE, (np.repeat(other, TIMES), POLICY), (WHOLE.probability, POLICY), COSTS)
    assert of_sample.fraud_rate == pytest.approx(of_whole.fraud_rate)
    assert of_sample.calibration_error == pytest.approx(of_whole.calibration_error)
    for name, difference in of_sample.differences.items():
        expected = of_whole.differences[name]
        assert (difference.candidate, difference.champion) == pytest.approx((expected.candidate, expected.champion)), name
        assert difference.least == pytest.approx(expected.least), name


def test_a_sample_gives_the_choice_of_history_of_the_whole() -> None:
    def chosen(rows: ScoredRows) -> tuple[tuple[int, ...], float]:
        log_odds = np.log(rows.probability) - np.log1p(-rows.probability)
        week = {(7, 10): log_odds, (28, 10): np.where(rows.amount > 30_000, -9.0, log_odds)}
        best = choices([week], [rows.is_fraud], None if rows.weight is None else [rows.weight])[0]
        return best.days, best.average_precision

    assert chosen(SAMPLE)[0] == chosen(WHOLE)[0]
    assert chosen(SAMPLE)[1] == pytest.approx(chosen(WHOLE)[1])
    assert chosen(SAMPLE)[1] < chosen(replace(SAMPLE, weight=None))[1]


def test_a_sample_gives_the_reference_of_the_whole() -> None:
    values = np.stack([np.log(SAMPLE.amount), SAMPLE.user % 7], axis=1).astype(np.float32)
    values[::9, 0] = np.nan
    of_sample = reference(("a", "b"), values, SAMPLE.event_time, SAMPLE.probability, SAMPLE.event_time, SAMPLE.weight, SAMPLE.weight)
    ones = np.ones(len(WHOLE))
    of_whole = reference(("a", "b"), np.repeat(values, TIMES, axis=0), WHOLE.event_time, WHOLE.probability, WHOLE.event_time, ones, ones)
    assert of_sample == of_whole
    assert of_sample.rows == len(WHOLE) == sum(of_sample.features["b"].counts)


def test_a_sample_is_drawn_as_the_whole() -> None:
    of_sample, of_whole = (evaluation_plots(rows, POLICY, COSTS, {"a": 1.0}) for rows in (SAMPLE, WHOLE))
    unweighted = evaluation_plots(replace(SAMPLE, weight=None), POLICY, COSTS, {"a": 1.0})
    for name in of_sample.keys() - {"importance.png", "roc.png"}:
        assert of_sample[name] != unweighted[name], name
    assert of_sample["calibration.png"] == of_whole["calibration.png"]


def test_thinned_rows_give_what_all_give_but_for_chance() -> None:
    """As of a training set of which one legitimate row in five was kept."""
    scores = scored(60_000, days=28, skill=4.0)
    number = np.arange(60_000, dtype=np.float32)[:, None]
    rows = TrainingSet(number, scores.is_fraud, scores.event_time, scores.amount, user=scores.user)
    known = KnownFrauds.of(scores.event_time, scores.user, scores.is_fraud, 7 * DAY)
    found = {}
    for name, kept in (("all", rows), ("thinned", thin(rows, EVERY))):
        probability = scores.probability[kept.vectors[:, 0].astype(np.int64)]
        found[name] = rehearse(OutOfFold(kept, probability), V1.names[:1], COSTS, 0.05, known, resamples=0)
    of_all, thinned = (found[name].evaluation.all.figures for name in ("all", "thinned"))
    for name in ("brier", "auc_roc", "average_precision", "money_saved", "review_precision", "cost_of_no_decisions"):
        assert thinned[name].value == pytest.approx(of_all[name].value, rel=0.05), name
    # What was chosen on a part of the rows saves as much on all of them.
    policies = [found[name].policy for name in ("all", "thinned")]
    saved = [
        Statistic(scores, Decided.by(policy, scores.probability), COSTS)(np.ones(len(scores), np.int64))["money_saved"]
        for policy in policies
    ]
    assert saved[1] == pytest.approx(saved[0], rel=0.01)
    assert policies[1].block_threshold == pytest.approx(policies[0].block_threshold, rel=0.2)
    chosen = [policy.chosen for policy in policies]
    assert chosen[0] is not None
    assert chosen[1] is not None
    assert chosen[1].rows == pytest.approx(chosen[0].rows, rel=0.01)


def test_weights_of_nothing_are_refused() -> None:
    rows = scored(20)
    for weight in (np.ones(19), np.zeros(20)):
        with pytest.raises(ValueError, match="20 rows need as many weights, all above 0"):
            choose_policy(rows.probability, rows.amount, rows.is_fraud, COSTS, weight, capacity=0.005)
    with pytest.raises(ValueError, match="differ in length"):
        replace(rows, weight=np.ones(9))
