"""What a training tells as JSON."""

import msgspec

from api.training.data import moment
from models.mlflow_pipeline import Candidate, TrainingPlan, counts
from models.mlflow_registry import Registered


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
        "history": None if found.choice is None else {"days": found.choice.days, "tried": dict(found.choice.tried)},
        "evaluation": msgspec.to_builtins(found.rehearsal.evaluation.all),
        "evaluation_unknown_customers": msgspec.to_builtins(found.rehearsal.evaluation.unknown_customers),
    }
