"""The last steps of a training, rehearsed: thresholds chosen on the earlier out-of-fold rows are judged on the later ones, then chosen anew
on all of them for the model that will serve."""

from dataclasses import dataclass

import numpy as np

from features.arrays import Bool, Int64
from features.definitions import DAY
from models.costs import Costs
from models.evaluation.judgement import EVALUATION_RESAMPLES, Evaluation, evaluate
from models.evaluation.scored_rows import KnownFrauds, ScoredRows, amount_bands, newness
from models.learners.calibration import Platt, log_odds_of
from models.learners.trained import OutOfFold, Trained
from models.policy import Policy
from models.training.fit import Fit
from models.training.thresholds import choose_policy
from models.training_set.classes import require_both_classes_in_each
from models.training_set.rows import TrainingSet

_AGE = "user_age_seconds"
_JUDGED_MS = 7 * DAY
# Fewer frauds show little about a model; where a week has fewer, more is judged.
_FEWEST_FRAUDS = 10


@dataclass(frozen=True)
class Rehearsal:
    """``policy`` as it was chosen without the ``rows`` that it was judged on; ``gap`` (ms) lay between the last row of the choice and the
    first judged, at least."""

    policy: Policy
    rows: ScoredRows
    evaluation: Evaluation
    gap: int


def scored_rows(rows: TrainingSet, names: tuple[str, ...], probability: np.ndarray) -> ScoredRows:
    """A training set's rows with probabilities, divided by amount, by new and known users, and by country where one is named.

    Raises ValueError for rows without users.
    """
    if rows.user is None:
        raise ValueError("rows without users can't be judged")
    segments = {"amount": amount_bands(rows.amount)}
    if _AGE in names:
        segments["user"] = newness(rows.vectors[:, names.index(_AGE)])
    if rows.country is not None and (rows.country != "").any():
        segments["country"] = np.where(rows.country == "", "unknown", rows.country)
    return ScoredRows(rows.event_time, rows.user, rows.amount, rows.is_fraud, probability, segments, rows.weight)


def rehearse(
    found: OutOfFold,
    names: tuple[str, ...],
    costs: Costs,
    capacity: float,
    known: KnownFrauds,
    seed: int = 0,
    resamples: int = EVALUATION_RESAMPLES,
    calibrated: bool = False,
) -> Rehearsal:
    """The rehearsal on out-of-fold rows. Their newest week is judged, or more where it has too few frauds; the choice uses labels known by
    then where the rows reach that far.

    ``known`` are all frauds of the training rows, with the label delay. ``calibrated`` probabilities are calibrated anew on the rows that
    choose, for the calibration they come with has seen those that judge. Raises UserError if a part is of one class.
    """
    rows = scored_rows(found.rows, names, found.probability)
    chosen, judged, gap = _parts(rows.event_time, rows.is_fraud, known.delay)
    require_both_classes_in_each(
        {
            "the earlier part, which chooses the thresholds, of the validation rows": rows.is_fraud[chosen],
            "the later part, which judges them, of the validation rows": rows.is_fraud[judged],
        }
    )
    choosing = rows.where(chosen)
    if calibrated:
        calibration = Platt.fit(log_odds_of(choosing.probability), choosing.is_fraud, choosing.weight)
        rows = rows.scored(calibration.probability(log_odds_of(rows.probability)))
        choosing = rows.where(chosen)
    policy = choose_policy(choosing.probability, choosing.amount, choosing.is_fraud, costs, choosing.weight, capacity=capacity)
    judged_rows = rows.where(judged)
    return Rehearsal(policy, judged_rows, evaluate(judged_rows, policy, costs, known, seed, resamples), gap)


def with_policy(fit: Fit, costs: Costs, capacity: float) -> Trained:
    """The model with thresholds chosen by cost on all its out-of-fold rows."""
    found = fit.out_of_fold
    policy = choose_policy(found.probability, found.rows.amount, found.rows.is_fraud, costs, found.rows.weight, capacity=capacity)
    return Trained(fit.booster, policy, fit.parameters, found.metrics())


def _parts(event_time: Int64, is_fraud: Bool, label_delay: int) -> tuple[Bool, Bool, int]:
    """The rows that choose and those that judge, the newest week, or weeks with frauds enough, up to half; and the gap (ms) between them:
    the label delay, where it leaves the choice at least half as much time as the judgement."""
    first, last = int(event_time.min()), int(event_time.max())
    half = (last - first + 1) // 2
    length = min(_JUDGED_MS, half)
    while length < half and np.count_nonzero(is_fraud[event_time > last - length]) < _FEWEST_FRAUDS:
        length = min(2 * length, half)
    begin = last + 1 - length
    gap = label_delay if begin - label_delay - first >= length // 2 else 0
    return event_time < begin - gap, event_time >= begin, gap
