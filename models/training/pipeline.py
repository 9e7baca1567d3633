"""From labelled transactions to a candidate, a call a step."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from features.definitions import DAY, FeatureSet
from models.costs import Costs
from models.evaluation.judgement import EVALUATION_RESAMPLES
from models.evaluation.plots import evaluation_plots
from models.evaluation.scored_rows import KnownFrauds
from models.learners.parameters import Parameters
from models.learners.trained import OutOfFold, Trained
from models.monitoring.reference import made_of_labels, reference
from models.policy import Policy
from models.registry.model_card import TREES, CardFacts, model_card
from models.registry.record import MODEL_NAME, TrainingRecord
from models.training.fitting import fit
from models.training.history_choice import HistoryChoice
from models.training.recipe import TooLittle
from models.training.rehearsal import Rehearsal, rehearse, with_policy
from models.training.tuning import SearchBudget, tuned
from models.training_set.classes import require_enough_frauds
from models.training_set.label_maturity import Immature
from models.training_set.leakage import require_no_leak
from models.training_set.rows import TrainingSet
from models.training_set.snapshot import DataSnapshot, Provenance


@dataclass(frozen=True)
class TrainingPlan:
    """What to learn from and how: rows from ``begin`` (inclusive) to ``end`` (exclusive) whose label, ``labels_after`` its transaction, is
    known ``as_of``; all in ms.

    ``histories`` (days) are lengths of history to choose from; without any, or with rows of too few weeks, all rows are learnt from.
    ``capacity`` is the share (0–1) of all transactions that can be reviewed; ``resamples`` make the evaluation's intervals. ``immature``
    and ``propensity`` (the column) name the weights that the rows have; see ``models/training_set/label_maturity.py``. With ``search`` the
    trees' hyper-parameters are searched for; else they are the ``parameters``, or without any the settled ones.
    """

    feature_set: FeatureSet
    begin: int
    end: int
    as_of: int
    labels_after: int
    seed: int = 0
    histories: tuple[int, ...] = (7, 28, 90)
    costs: Costs = field(default_factory=Costs)
    capacity: float = 0.005
    resamples: int = EVALUATION_RESAMPLES
    immature: Immature = "left-out"
    propensity: str | None = None
    search: SearchBudget | None = None
    parameters: Parameters | None = None

    @property
    def weighting(self) -> dict[str, str]:
        """Why rows don't count alike, as parameters of the run."""
        return {"immature": self.immature, **({} if self.propensity is None else {"propensity": self.propensity})}


@dataclass(frozen=True)
class Candidate:
    """A model that is ready to be registered, its out-of-fold rows, the rows it was made of, and how it did; the ``history`` that was
    chosen for it, or why none was. ``parameters`` are those of its trees, None for the settled ones."""

    trained: Trained
    out_of_fold: OutOfFold
    rows: TrainingSet
    rehearsal: Rehearsal
    history: HistoryChoice | TooLittle
    parameters: Parameters | None

    @property
    def why_plain_split(self) -> str | None:
        """Why a plain split made it, in words; None if past weeks chose its history."""
        return self.history.reason if isinstance(self.history, TooLittle) else None


def candidate(rows: TrainingSet, plan: TrainingPlan) -> Candidate:
    """A model from a training set, every choice made by the rows' labels as known ``as_of``. Raises UserError if they are too few.

    Rows that are immature by then, which must be weighted, only add to what the model is fitted on.
    """
    names = plan.feature_set.names
    mature, immature = rows.mature(plan.as_of, plan.labels_after)
    require_no_leak(mature, names)
    require_enough_frauds(mature.is_fraud)
    parameters, searched = _tuned(mature, plan)
    fitted, history = fit(mature, names, plan.histories, plan.labels_after, plan.seed, immature, parameters)
    fitted = replace(fitted, parameters={**fitted.parameters, **plan.weighting, **searched})
    rehearsal = rehearsed(fitted.out_of_fold, mature, plan, calibrated=isinstance(history, HistoryChoice))
    return Candidate(with_policy(fitted, plan.costs, plan.capacity), fitted.out_of_fold, rows, rehearsal, history, parameters)


def _tuned(mature: TrainingSet, plan: TrainingPlan) -> tuple[Parameters | None, dict[str, float | int]]:
    """The parameters that the search found, without one the plan's, and what of it is recorded."""
    if plan.search is None:
        return plan.parameters, {}
    days, rng = max(plan.histories, default=28), np.random.default_rng(plan.seed)
    best, tries = tuned(mature, plan.feature_set.names, days, plan.labels_after, plan.search, rng, plan.seed)
    return best.parameters, {"search_tries": tries, "search_ap": best.score}


def rehearsed(out_of_fold: OutOfFold, mature: TrainingSet, plan: TrainingPlan, *, calibrated: bool) -> Rehearsal:
    """How thresholds that were chosen before did on out-of-fold rows. Raises as ``rehearse``, ValueError for rows without users."""
    if mature.user is None:
        raise ValueError("rows without users can't be judged")
    known = KnownFrauds.of(mature.event_time, mature.user, mature.is_fraud, plan.labels_after)
    names = plan.feature_set.names
    return rehearse(out_of_fold, names, plan.costs, plan.capacity, known, plan.seed, plan.resamples, calibrated=calibrated)


def recorded(found: Candidate, plan: TrainingPlan, data: DataSnapshot, provenance: Provenance) -> TrainingRecord:
    """Everything that is to be kept of how the candidate came about."""
    trained = found.trained
    made = JudgedModel(
        found.out_of_fold, trained.parameters, trained.policy, gain(trained), found.rehearsal, why_plain_split=found.why_plain_split
    )
    return record_of(made, found.rows, plan, data, provenance)


def tags_of(found: Candidate, plan: TrainingPlan) -> dict[str, str]:
    """What a version's tags keep of how it was made: counts, the last event time (ms), the delay of labels (ms), and the history that was
    chosen, or why a plain split made it."""
    if isinstance(found.history, HistoryChoice):
        history = {"history_days": "+".join(map(str, found.history.days))}
    else:
        history = {"plain_split_because": found.history.reason}
    return {
        **{name: str(count) for name, count in counts(found.rows).items()},
        "trained_to": str(int(found.rows.event_time.max())),
        "labels_after": str(plan.labels_after),
        **history,
    }


@dataclass(frozen=True)
class JudgedModel:
    """What is recorded of a model of whatever kind: see ``Candidate``, ``Baseline`` and ``CardFacts``."""

    out_of_fold: OutOfFold
    parameters: Parameters
    policy: Policy
    importance: Mapping[str, float]
    rehearsal: Rehearsal
    kind: str = TREES
    why_plain_split: str | None = None


def record_of(made: JudgedModel, rows: TrainingSet, plan: TrainingPlan, data: DataSnapshot, provenance: Provenance) -> TrainingRecord:
    """Card, figures, reference and plots of a model that was made from these rows."""
    rehearsal, scored = made.rehearsal, made.out_of_fold
    card = model_card(
        CardFacts(
            MODEL_NAME,
            plan.feature_set.name,
            len(plan.feature_set.names),
            plan.feature_set.digest,
            data,
            provenance,
            counts(rows),
            int(rows.event_time.min()),
            int(rows.event_time.max()),
            made.parameters,
            made.policy,
            rehearsal.evaluation,
            rehearsal.gap / DAY,
            made.kind,
            made.why_plain_split,
        )
    )
    return TrainingRecord(
        data,
        provenance,
        rehearsal.evaluation,
        reference(
            plan.feature_set.names,
            rows.vectors,
            rows.event_time,
            scored.probability,
            scored.rows.event_time,
            rows.weight,
            scored.rows.weight,
            made_of_labels(plan.feature_set),
        ),
        card,
        evaluation_plots(rehearsal.rows, rehearsal.policy, plan.costs, made.importance),
    )


def counts(rows: TrainingSet) -> dict[str, int]:
    """How many rows there are, how many they stand for if they are weighted, and how many were left out."""
    stand_for = {} if rows.weight is None else {"stand_for": round(float(rows.weight.sum()))}
    return {
        "rows": len(rows.is_fraud),
        "frauds": rows.frauds,
        **stand_for,
        "label_unknown": rows.immature,
        "unlabelled": rows.unlabelled,
    }


def gain(trained: Trained) -> dict[str, float]:
    """Each feature's total gain in the trees that use it."""
    return {name: float(str(value)) for name, value in trained.booster.get_score(importance_type="total_gain").items()}
