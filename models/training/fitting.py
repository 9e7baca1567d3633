"""Rows to a model with out-of-fold rows: by the recipe where past weeks can be replayed, else by a plain split in time."""

from models.learners.parameters import Parameters
from models.training.fit import Fit
from models.training.history_choice import HistoryChoice
from models.training.plain_split import PLAIN_PARAMETERS, fit_plain_split
from models.training.prequential import span_known
from models.training.recipe import PARAMETERS, Recipe, RecipeResult, TooLittle, TreeCache, make
from models.training_set.classes import require_both_classes
from models.training_set.rows import TrainingSet

# Two to choose by and one to judge the choice of thresholds, with a label delay between.
WEEKS = 3


def fit(
    rows: TrainingSet,
    names: tuple[str, ...],
    histories: tuple[int, ...],
    labels_after: int,
    seed: int = 0,
    immature: TrainingSet | None = None,
    parameters: Parameters | None = None,
) -> tuple[Fit, HistoryChoice | TooLittle]:
    """The model that serves once the labels of the rows (in time order) are known, ``labels_after`` ms after them; and the history that was
    chosen for it, or why none was and all rows were learnt from.

    ``histories`` are lengths in days to choose from; without any, or with too few days or frauds to replay a week, it is a plain split's.
    ``immature`` rows, younger and weighted, only add to what the final model learns from. ``parameters`` are XGBoost's, instead of the
    settled ones. Raises UserError if the rows, or those that a model is to learn from, are of one class.
    """
    require_both_classes(rows.is_fraud)
    made = _by_recipe(rows, names, histories, labels_after, seed, immature, parameters or PARAMETERS)
    if isinstance(made, RecipeResult):
        return made.fit, HistoryChoice.of(made.compared)
    return fit_plain_split(rows, names, seed=seed, immature=immature, parameters=parameters or PLAIN_PARAMETERS), made


def _by_recipe(
    rows: TrainingSet,
    names: tuple[str, ...],
    histories: tuple[int, ...],
    labels_after: int,
    seed: int,
    immature: TrainingSet | None,
    parameters: Parameters,
) -> RecipeResult | TooLittle:
    if not histories:
        return TooLittle("there were no lengths of history to choose from")
    _, as_of = span_known(rows.event_time, labels_after)
    learnt = rows if immature is None else rows.followed_by(immature)
    grown = TreeCache(learnt, names, Recipe(histories, WEEKS, parameters), seed=seed)
    return make(grown, as_of, labels_after, int(learnt.event_time.max()) + 1)
