"""The recipe: from rows and a day to the model that serves from then on, every choice made by what was known on that day.

1. Past weeks are replayed (``models/training/prequential.py``): models of each length of history, fitted on what was known when the week
   began, score it.
2. These scores, which no model gave on rows that it had learnt from, settle lengths of history (``models/training/history_choice.py``) and
   the calibration.
3. The same models are fitted on the youngest rows known, and averaged into one booster with the calibration in its leaves.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from features.arrays import Float64
from features.definitions import DAY
from models.evaluation.metrics import has_both_classes
from models.learners.booster_average import average
from models.learners.calibration import Platt, probability_of
from models.learners.parameters import Parameters
from models.learners.trained import OutOfFold
from models.learners.xgboost_learner import Trees, XGBoostLearner
from models.training.fit import Fit
from models.training.history_choice import HistoryAverage, choices
from models.training.prequential import Fold, folds, known_until
from models.training_set.rows import TrainingSet

# Settled on weeks of the handbook's data that began before 2018-07-11, never on those that the benchmark reports. Many bins, for the few
# amounts that no honest customer spends lie in the last two of a thousand.
PARAMETERS: Parameters = {
    "max_depth": 6,
    "eta": 0.05,
    "subsample": 0.8,
    "colsample_bynode": 0.3,
    "min_child_weight": 10,
    "max_bin": 1024,
}
ROUNDS = 100
# Of the legitimate rows every so-many-th is learnt from.
THINNING = 3


@dataclass(frozen=True)
class Recipe:
    """What there is to choose from: ``histories`` in days, and how many ``weeks`` decide; ``parameters`` are those of the trees."""

    histories: tuple[int, ...] = (7, 28, 90)
    weeks: int = 2
    parameters: Parameters = field(default_factory=lambda: PARAMETERS)


@dataclass(frozen=True)
class RecipeResult:
    """The model, all choices that were compared (the best first), and its calibration.

    The out-of-fold rows are those of the weeks that decided, oldest week first, each with the calibrated probability by a model that had
    not learnt from it, nor from anything that wasn't known when its week began.
    """

    fit: Fit
    compared: tuple[HistoryAverage, ...]
    calibration: Platt

    @property
    def choice(self) -> HistoryAverage:
        """What was chosen."""
        return self.compared[0]


@dataclass(frozen=True)
class TooLittle:
    """Why the rows are too few for a choice of history: ``reason``, a clause in words."""

    reason: str


class TreeCache:
    """Trees by what they were fitted on, each grown once: what one week is tried with, serves a later week.

    ``rows`` are in time order. Its caller decides which rows a model may learn from; it sees no others. ``report`` is called with a line
    before each fit.
    """

    def __init__(
        self,
        rows: TrainingSet,
        feature_names: tuple[str, ...],
        recipe: Recipe,
        *,
        seed: int = 0,
        threads: int = 1,
        report: Callable[[str], None] = lambda _line: None,
    ) -> None:
        if len(rows.event_time) and (np.diff(rows.event_time) < 0).any():
            raise ValueError("rows must be in time order")
        self.rows, self.recipe, self.seed, self._report = rows, recipe, seed, report
        self._learner = XGBoostLearner(feature_names, ROUNDS, recipe.parameters, THINNING, seed, threads)
        self._grown: dict[tuple[int, int], Trees] = {}

    def trees(self, days: int, end: int) -> Trees:
        """The model of the ``days`` before ``end`` (ms), or of what there is of them. Raises UserError if these are of one class."""
        begin, until = self._span(days, end)
        if (begin, until) not in self._grown:
            self._report(f"fitting on {until - begin:,} transactions of {days} days")
            self._grown[begin, until] = self._learner.fit(self.rows.part(begin, until))
        return self._grown[begin, until]

    def has_both_classes(self, days: int, end: int) -> bool:
        """Whether the ``days`` before ``end`` (ms) hold frauds and others."""
        begin, until = self._span(days, end)
        return has_both_classes(self.rows.is_fraud[begin:until])

    def _span(self, days: int, end: int) -> tuple[int, int]:
        event_time = self.rows.event_time
        return int(np.searchsorted(event_time, end - days * DAY)), int(np.searchsorted(event_time, end))


def make(grown: TreeCache, as_of: int, labels_after: int, learnt_to: int | None = None) -> RecipeResult | TooLittle:
    """The model that serves from ``as_of`` on, labels known ``labels_after`` later (both ms); rows younger than those change no bit of it,
    unless the final fit is to learn from all before ``learnt_to`` (ms), immature ones weighted; they choose nothing.

    ``TooLittle`` if no past week can be replayed, or the days that the final model is to learn from are of one class.
    """
    rows, recipe = grown.rows, grown.recipe
    known = known_until(as_of, labels_after)
    first = int(rows.event_time.min(initial=known))
    shortest = min(recipe.histories) * DAY
    weeks = [
        fold
        for fold in folds(first, as_of, labels_after, most=recipe.weeks)
        if fold.has_both_classes(rows.event_time, rows.is_fraud, shortest)
    ]
    if not weeks:
        return TooLittle(f"there is no week with frauds to choose a history by among the {(known - first) / DAY:.0f} days of known labels")
    tried = [fold.tried(rows.event_time) for fold in weeks]
    scored = [_scored(grown, fold) for fold in weeks]
    weights = None if rows.weight is None else [rows.weight[part] for part in tried]
    compared = choices(scored, [rows.is_fraud[part] for part in tried], weights)
    choice, end = compared[0], learnt_to or known
    for days in choice.days:
        if not grown.has_both_classes(days, end):
            return TooLittle(f"the newest {days} days, the history that was chosen, don't hold both frauds and others to learn from")

    out_of_fold = rows.take(np.concatenate(tried))
    log_odds = np.concatenate([choice.log_odds(one) for one in scored])
    calibration = Platt.fit(log_odds, out_of_fold.is_fraud, out_of_fold.weight)
    probability = probability_of(calibration.slope * log_odds + calibration.intercept)
    members = [grown.trees(days, end).booster for days in choice.days]
    parameters = {
        **recipe.parameters,
        "rounds": ROUNDS,
        "history_days": ",".join(map(str, choice.days)),
        "averaged": len(members),
        "thinning": THINNING,
        "seed": grown.seed,
        "calibration_slope": calibration.slope,
        "calibration_intercept": calibration.intercept,
        "validation_weeks": len(weeks),
    }
    return RecipeResult(Fit(average(members, calibration), parameters, OutOfFold(out_of_fold, probability)), compared, calibration)


def _scored(grown: TreeCache, fold: Fold) -> dict[int, Float64]:
    """Log-odds of the fold's rows by each length of history."""
    vectors = grown.rows.vectors[fold.tried(grown.rows.event_time)]
    return {days: grown.trees(days, fold.fit_end).log_odds(vectors) for days in grown.recipe.histories}
