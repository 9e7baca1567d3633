"""From labelled transactions to a baseline that is judged as a candidate is."""

from dataclasses import dataclass
from typing import get_args

from models.registry.record import TrainingRecord
from models.training.baseline_fitting import Baseline, BaselineName, fit_baseline
from models.training.pipeline import JudgedModel, TrainingPlan, counts, record_of, rehearsed
from models.training.rehearsal import Rehearsal
from models.training_set.classes import require_enough_frauds
from models.training_set.leakage import require_no_leak
from models.training_set.rows import TrainingSet
from models.training_set.snapshot import DataSnapshot, Provenance

BASELINES: tuple[BaselineName, ...] = get_args(BaselineName)
_KINDS = {"logistic_regression": "Logistic regression", "random_forest": "A random forest"}


@dataclass(frozen=True)
class JudgedBaseline:
    """The rows, the baseline that was fitted on them, and how it did."""

    rows: TrainingSet
    baseline: Baseline
    rehearsal: Rehearsal


def judged_baseline(name: BaselineName, rows: TrainingSet, plan: TrainingPlan) -> JudgedBaseline:
    """The baseline on the rows whose labels are known ``as_of``. Raises UserError if they are too few."""
    rows, _ = rows.mature(plan.as_of, plan.labels_after)
    names = plan.feature_set.names
    require_no_leak(rows, names)
    require_enough_frauds(rows.is_fraud)
    baseline = fit_baseline(name, rows, names, plan.histories, plan.labels_after, plan.seed)
    return JudgedBaseline(rows, baseline, rehearsed(baseline.out_of_fold, rows, plan, calibrated=True))


def baseline_record(found: JudgedBaseline, plan: TrainingPlan, data: DataSnapshot, provenance: Provenance) -> TrainingRecord:
    """Everything that is to be kept of it but the model."""
    baseline, rehearsal = found.baseline, found.rehearsal
    kind = f"{_KINDS[baseline.name]} (scikit-learn), a baseline to compare with, which is never registered."
    judged = JudgedModel(baseline.out_of_fold, baseline.parameters, rehearsal.policy, baseline.importance, rehearsal, kind)
    return record_of(judged, found.rows, plan, data, provenance)


def baseline_tags(found: JudgedBaseline, plan: TrainingPlan) -> dict[str, str]:
    """The tags of its run."""
    return {
        "model": found.baseline.name,
        "feature_set": plan.feature_set.name,
        **{key: str(count) for key, count in counts(found.rows).items()},
    }
