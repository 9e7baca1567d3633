"""The recipe: from rows and a day to the model that serves from then on, every choice made by what was known on that day.

1. Weeks that are past are lived again (``models/training/prequential.py``): models of each length of history, fitted on what was known when
   the week began, score it.
2. These scores, which no model gave on rows that it had learnt from, settle lengths of history and rounds
   (``models/training/history_choice.py``), the calibration and the policy.
3. The same models are fitted on the youngest rows known, and averaged into one booster with the calibration in its leaves.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from features.arrays import Bool, Float64, Int64
from features.definitions import DAY
from features.errors import UserError
from models.evaluation.metrics import auc_roc, average_precision
from models.learners.booster_average import average
from models.learners.calibration import Platt, probability_of
from models.learners.trained import Trained
from models.learners.xgboost_learner import Trees, XGBoostLearner
from models.training.history_choice import HistoryAverage, choices
from models.training.prequential import Fold, folds, known_until
from models.training.thresholds import choose_policy
from models.training_set.rows import TrainingSet

# Settled on weeks of the handbook's data that began before 2018-07-11, never on those that the benchmark reports. Many bins, for the few
# amounts that no honest customer spends lie in the last two of a thousand.
PARAMETERS: Mapping[str, str | float | int] = {
    "max_depth": 6,
    "eta": 0.05,
    "subsample": 0.8,
    "colsample_bynode": 0.3,
    "min_child_weight": 10,
    "max_bin": 1024,
}


@dataclass(frozen=True)
class Recipe:
    """What there is to choose from: ``histories`` in days, ``rounds`` after which boosting may stop, and how many ``weeks`` decide.

    For each length of history ``seeds`` models are averaged; of the legitimate rows every ``thinning``-th is learnt from.
    """

    histories: tuple[int, ...] = (7, 28, 90)
    rounds: tuple[int, ...] = (100,)
    weeks: int = 2
    parameters: Mapping[str, str | float | int] = field(default_factory=lambda: PARAMETERS)
    seeds: int = 1
    thinning: int = 3


@dataclass(frozen=True)
class OutOfFold:
    """Rows of the weeks that decided (numbers of the rows given, oldest week first), with the calibrated probability of each by a model
    that had not learnt from it, nor from anything that wasn't known when its week began."""

    rows: Int64
    probability: Float64


@dataclass(frozen=True)
class RecipeResult:
    """The model, the choice that made it and all that were compared (the best first), its calibration, and the out-of-fold scores."""

    trained: Trained
    compared: tuple[HistoryAverage, ...]
    calibration: Platt
    out_of_fold: OutOfFold

    @property
    def choice(self) -> HistoryAverage:
        """What was chosen."""
        return self.compared[0]


class TreeCache:
    """Trees by what they were fitted on, each grown once: what one week is tried with, serves a later week.

    ``rows`` are in time order. Which rows a model may learn from is its caller's to say; it sees no others. ``told`` hears of each fit.
    """

    def __init__(
        self,
        rows: TrainingSet,
        feature_names: tuple[str, ...],
        recipe: Recipe,
        *,
        seed: int = 0,
        threads: int = 1,
        told: Callable[[str], None] = lambda _text: None,
    ) -> None:
        if len(rows.event_time) and (np.diff(rows.event_time) < 0).any():
            raise ValueError("rows must be in time order")
        self.rows, self.feature_names, self.recipe, self.seed, self._threads, self._told = rows, feature_names, recipe, seed, threads, told
        self._grown: dict[tuple[int, int], tuple[Trees, ...]] = {}

    def trees(self, days: int, end: int) -> tuple[Trees, ...]:
        """The models (one a seed, with the most rounds) of the ``days`` before ``end`` (ms), or of what there is of them."""
        begin = int(np.searchsorted(self.rows.event_time, end - days * DAY))
        until = int(np.searchsorted(self.rows.event_time, end))
        if (begin, until) not in self._grown:
            self._told(f"fitting on {until - begin:,} transactions of {days} days")
            part = self.rows.part(begin, until)
            learners = [self._learner(self.seed + number) for number in range(self.recipe.seeds)]
            self._grown[begin, until] = tuple(learner.fit(part) for learner in learners)
        return self._grown[begin, until]

    def _learner(self, seed: int) -> XGBoostLearner:
        recipe = self.recipe
        return XGBoostLearner(self.feature_names, max(recipe.rounds), recipe.parameters, recipe.thinning, seed, self._threads)


def make(grown: TreeCache, as_of: int, labels_after: int, learnt_to: int | None = None) -> RecipeResult:
    """The model that serves from ``as_of`` on, labels known ``labels_after`` later (both ms); rows younger than those change no bit of it,
    unless the final fit is to learn from all before ``learnt_to`` (ms), immature ones weighted; they choose nothing.

    Raises UserError if no week that is past can be lived again, or the rows to learn from are of one class.
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
        raise UserError(
            f"there is no week with frauds to choose a model by among the {(known - first) / DAY:.0f} days of known labels; "
            "give at least four weeks before the day that the model is for"
        )
    tried = [fold.tried(rows.event_time) for fold in weeks]
    scored = [_scored(grown, fold) for fold in weeks]
    weights = None if rows.weight is None else [rows.weight[part] for part in tried]
    compared = choices(scored, [rows.is_fraud[part] for part in tried], weights)
    choice = compared[0]

    numbers = np.concatenate(tried)
    log_odds = np.concatenate([choice.log_odds(one) for one in scored])
    is_fraud = rows.is_fraud[numbers]
    weight = None if rows.weight is None else rows.weight[numbers]
    calibration = Platt.fit(log_odds, is_fraud, weight)
    probability = probability_of(calibration.slope * log_odds + calibration.intercept)

    members = [trees.booster[: choice.rounds] for days in choice.days for trees in grown.trees(days, learnt_to or known)]
    trained = Trained(
        average(members, calibration),
        choose_policy(probability, rows.amount[numbers], is_fraud, weight),
        {
            **recipe.parameters,
            "rounds": choice.rounds,
            "history_days": ",".join(map(str, choice.days)),
            "averaged": len(members),
            "thinning": recipe.thinning,
            "seed": grown.seed,
            "calibration_slope": calibration.slope,
            "calibration_intercept": calibration.intercept,
            "validation_weeks": len(weeks),
        },
        {
            "validation_auc": auc_roc(is_fraud, probability, weight),
            "validation_ap": average_precision(is_fraud, probability, weight),
            "validation_logloss": _log_loss(is_fraud, probability, weight),
        },
    )
    return RecipeResult(trained, compared, calibration, OutOfFold(numbers, probability))


def _scored(grown: TreeCache, fold: Fold) -> dict[tuple[int, int], Float64]:
    """Log-odds of the fold's rows by each length of history and rounds."""
    vectors = grown.rows.vectors[fold.tried(grown.rows.event_time)]
    found = {}
    for days in grown.recipe.histories:
        models = grown.trees(days, fold.fit_end)
        for rounds in grown.recipe.rounds:
            found[days, rounds] = np.mean([Trees(model.booster[:rounds]).log_odds(vectors) for model in models], axis=0)
    return found


def _log_loss(is_fraud: Bool, probability: Float64, weight: Float64 | None) -> float:
    return float(-np.average(np.log(np.where(is_fraud, probability, 1 - probability)), weights=weight))
