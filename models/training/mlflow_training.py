"""Training from beginning to end: rows → candidate (``models/training/pipeline.py``) → a version in MLflow's registry."""

from collections.abc import Callable

from models.registry import mlflow_client, mlflow_registry
from models.registry.mlflow_record import refusing_in_words
from models.registry.record import Registered, TrainingRecord
from models.training.pipeline import Candidate, TrainingPlan, candidate, recorded, tags_of
from models.training_set.rows import TrainingSet
from models.training_set.snapshot import DataSnapshot, Provenance


def train_and_register(
    rows_of: Callable[[TrainingPlan], TrainingSet],
    plan: TrainingPlan,
    data: DataSnapshot,
    provenance: Provenance,
    tracking_uri: str,
    tags: dict[str, str],
) -> tuple[Candidate, Registered]:
    """The whole way; ``rows_of`` makes the training set. The registry is asked first, so that nothing is computed for one that is down.

    Raises UserError if there is too little to learn from, or the registry or its disk fails; then no version was made.
    """
    require_registry(tracking_uri)
    found = candidate(rows_of(plan), plan)
    return found, log(found, plan, recorded(found, plan, data, provenance), tracking_uri, tags)


def require_registry(tracking_uri: str) -> None:
    """Raises UserError unless the registry answers."""
    with refusing_in_words(tracking_uri, "reaching the registry"):
        mlflow_client.connect(tracking_uri).search_experiments(max_results=1)


def log(found: Candidate, plan: TrainingPlan, record: TrainingRecord, tracking_uri: str, tags: dict[str, str]) -> Registered:
    """Make the candidate a version of the registry, with its record. Raises UserError if the registry or its disk fails."""
    with refusing_in_words(tracking_uri, "registering the model"):
        return mlflow_registry.register(found.trained, plan.feature_set, tracking_uri, {**tags_of(found, plan), **tags}, record)
