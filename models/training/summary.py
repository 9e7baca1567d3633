"""A training's outcome as JSON."""

import msgspec

from features.history.moments import moment
from models.registry.record import Registered
from models.training.baseline_pipeline import JudgedBaseline
from models.training.history_choice import HistoryChoice
from models.training.pipeline import Candidate, TrainingPlan, counts
from models.training.rehearsal import Rehearsal


def training_summary(found: Candidate, registered: Registered, plan: TrainingPlan) -> dict[str, object]:
    """The model, its data, its quality; figures as in ``evaluation.json``."""
    return {
        "model": registered.uri,
        "version": registered.version,
        "role": registered.role,
        "run_id": registered.run_id,
        "feature_set": plan.feature_set.name,
        **registered.digests.as_tags(),
        "from": moment(plan.begin),
        "to": moment(plan.end),
        "as_of": moment(plan.as_of),
        **counts(found.rows),
        **found.trained.metrics,
        "rounds": found.trained.parameters["rounds"],
        "parameters": dict(found.trained.parameters),
        "history": history_summary(found),
        "plain_split_because": found.why_plain_split,
        **_evaluation(found.rehearsal),
    }


def history_summary(found: Candidate) -> dict[str, object] | None:
    """Which lengths of history were chosen (days), and the mean average precision of each that was tried; None if there was no choice."""
    history = found.history
    return {"days": history.days, "tried": dict(history.tried)} if isinstance(history, HistoryChoice) else None


def baseline_summary(found: JudgedBaseline, run_id: str, plan: TrainingPlan) -> dict[str, object]:
    """The same of a baseline, of which there is no version."""
    return {
        "baseline": found.baseline.name,
        "run_id": run_id,
        "feature_set": plan.feature_set.name,
        "features_digest": plan.feature_set.digest,
        "from": moment(plan.begin),
        "to": moment(plan.end),
        "as_of": moment(plan.as_of),
        **counts(found.rows),
        **found.baseline.out_of_fold.metrics(),
        **_evaluation(found.rehearsal),
    }


def _evaluation(rehearsal: Rehearsal) -> dict[str, object]:
    found = rehearsal.evaluation
    return {"evaluation": msgspec.to_builtins(found.all), "evaluation_unknown_customers": msgspec.to_builtins(found.unknown_customers)}
