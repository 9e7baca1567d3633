"""Figures of decisions, against a loop over the rows that knows nothing of how they are made."""

import numpy as np
import pytest

from features.definitions import DAY
from models.costs import Costs
from models.evaluation.judgement import Decided
from models.evaluation.scored_rows import ScoredRows
from models.monitoring.outcomes import Outcomes
from models.monitoring.performance import performance
from models.training_set.label_maturity import DelaysBySource

AS_OF, DELAY = 100 * DAY, 7 * DAY
COSTS = Costs()
NOTHING_LEARNT = DelaysBySource({})


class World:
    """Random decisions and what became of them."""

    def __init__(self, n: int = 4_000, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.time = rng.integers(60 * DAY, AS_OF, n)
        self.user, self.amount = rng.integers(0, 300, n), rng.integers(1, 50_000, n)
        fraud = rng.random(n) < 0.05
        self.label_time = self.time + rng.integers(0, 10 * DAY, n)
        self.probability = np.clip(rng.beta(1, 20, n) + fraud * rng.random(n), 0, 1)
        self.flagged = self.probability > 0.15
        self.blocked = self.probability > 0.5
        self.labelled = (fraud | (rng.random(n) < 0.02)) & (self.label_time <= AS_OF) & ~(self.blocked & (rng.random(n) < 0.5))
        self.fraud = fraud & self.labelled
        self.rows = ScoredRows(
            self.time, self.user, self.amount, self.fraud, self.probability, {"amount": np.where(self.amount < 1_000, "a", "b")}
        )
        self.outcomes = Outcomes.of(self.time, self.fraud, self.labelled, self.blocked, AS_OF, DELAY, NOTHING_LEARNT)


def test_figures_are_those_of_a_plain_count() -> None:
    world = World()
    found = performance(world.rows, Decided(world.flagged, world.blocked), world.outcomes, COSTS, resamples=20)
    tp = fp = fn = tn = unseen = immature = 0
    saved = 0.0
    for i in range(len(world.time)):
        if world.time[i] + DELAY > AS_OF:
            immature += 1
        elif world.blocked[i] and not world.labelled[i]:
            unseen += 1
        else:
            tp += world.flagged[i] and world.fraud[i]
            fp += world.flagged[i] and not world.fraud[i]
            fn += not world.flagged[i] and world.fraud[i]
            tn += not world.flagged[i] and not world.fraud[i]
            if world.blocked[i]:
                saved += world.amount[i] + 1_500 if world.fraud[i] else -(0.02 * world.amount[i] + 1_000)
            elif world.flagged[i]:
                saved += (world.amount[i] + 1_500 if world.fraud[i] else 0) - 300
    assert (found.decisions, found.immature, found.unseen) == (len(world.time), immature, unseen)
    assert (found.all.rows, found.all.frauds) == (tp + fp + fn + tn, tp + fn)
    expected = {
        "review_precision": tp / (tp + fp),
        "review_recall": tp / (tp + fn),
        "review_f1": 2 * tp / (2 * tp + fp + fn),
        "review_false_positive_rate": fp / (fp + tn),
        "review_negative_predictive_value": tn / (tn + fn),
        "money_saved": saved,
    }
    for name, value in expected.items():
        figure = found.all.figures[name]
        assert figure.value == pytest.approx(value, rel=1e-9), name
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low <= value <= figure.high
    assert sum(part.rows for part in found.segments["amount"].values()) == found.all.rows


def test_what_the_policy_would_have_decided_is_not_asked() -> None:
    """A decision of the API while the store was away, or of another policy, counts as it was made."""
    world = World()
    nothing = np.zeros(len(world.time), np.bool_)
    found = performance(world.rows, Decided(nothing, nothing), world.outcomes, COSTS, resamples=0)
    assert (found.all.figures["review_recall"].value, found.all.figures["money_saved"].value) == (0.0, 0.0)


def test_blocked_payments_without_a_label_are_unseen_and_with_one_counted() -> None:
    time = np.full(4, 50 * DAY)
    blocked, labelled = np.array([True, True, False, False]), np.array([True, False, True, False])
    fraud = np.array([True, False, True, False])
    outcomes = Outcomes.of(time, fraud, labelled, blocked, AS_OF, DELAY, NOTHING_LEARNT)
    assert outcomes.seen.tolist() == [True, False, True, True]
    assert outcomes.counted.tolist() == [True, False, True, True]
