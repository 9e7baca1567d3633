"""A baseline's training from beginning to end: rows → baseline → a run in MLflow, to compare with. No version is made of it."""

import contextlib
from collections.abc import Callable

from models.registry import mlflow_client
from models.registry.mlflow_record import log_run, refusing_in_words
from models.registry.mlflow_registry import create_run
from models.training.baseline_fitting import BaselineName
from models.training.baseline_pipeline import JudgedBaseline, baseline_record, baseline_tags, judged_baseline
from models.training.mlflow_training import require_registry
from models.training.pipeline import TrainingPlan
from models.training_set.rows import TrainingSet
from models.training_set.snapshot import DataSnapshot, Provenance


def train_baseline(
    name: BaselineName,
    rows_of: Callable[[TrainingPlan], TrainingSet],
    plan: TrainingPlan,
    data: DataSnapshot,
    provenance: Provenance,
    tracking_uri: str,
    tags: dict[str, str],
) -> tuple[JudgedBaseline, str]:
    """The whole way: the baseline and its run's id. Raises UserError if there is too little to learn from, or MLflow or its disk fails."""
    require_registry(tracking_uri)
    found = judged_baseline(name, rows_of(plan), plan)
    record = baseline_record(found, plan, data, provenance)
    parameters = {"model": name, **found.baseline.parameters, **plan.weighting}
    with refusing_in_words(tracking_uri, "putting the baseline on record"):
        client = mlflow_client.connect(tracking_uri)
        run_id = create_run(client, tracking_uri, f"baseline {name} {plan.feature_set.name}")
        try:
            log_run(client, run_id, found.baseline.out_of_fold.metrics(), parameters, {**baseline_tags(found, plan), **tags}, record)
        except BaseException:
            with contextlib.suppress(Exception):
                client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id)
    return found, run_id
