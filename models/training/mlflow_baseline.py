"""A baseline's training from beginning to end: rows → fit → rehearsal → a run in MLflow, to compare with. No version is made of it."""

import contextlib
from collections.abc import Callable
from typing import get_args

from models.registry import mlflow_client
from models.registry.mlflow_record import log_run, refusing_in_words
from models.registry.mlflow_registry import create_run
from models.training.baseline_fitting import BaselineName, BaselineRun, fit_baseline
from models.training.fitting import require_enough_frauds
from models.training.mlflow_training import require_registry
from models.training.pipeline import Judged, TrainingPlan, counts, record_of, rehearsed
from models.training_set.leakage import require_no_leak
from models.training_set.rows import TrainingSet
from models.training_set.snapshot import DataSnapshot, Provenance

BASELINES: tuple[BaselineName, ...] = get_args(BaselineName)
_KINDS = {"logistic_regression": "Logistic regression", "random_forest": "A random forest"}


def train_baseline(
    name: BaselineName,
    rows_of: Callable[[TrainingPlan], TrainingSet],
    plan: TrainingPlan,
    data: DataSnapshot,
    provenance: Provenance,
    tracking_uri: str,
    tags: dict[str, str],
) -> BaselineRun:
    """The whole way. Raises UserError if there is too little to learn from, or MLflow or its disk fails."""
    require_registry(tracking_uri)
    names = plan.feature_set.names
    rows, _ = rows_of(plan).mature(plan.as_of, plan.labels_after)
    require_no_leak(rows, names)
    require_enough_frauds(rows)
    found = fit_baseline(name, rows, names, plan.histories, plan.labels_after, plan.seed)
    rehearsal = rehearsed(found.out_of_fold, rows, plan, calibrated=True)
    kind = f"{_KINDS[name]} (scikit-learn), a baseline to compare with, which is never registered."
    judged = Judged(found.out_of_fold, found.parameters, rehearsal.policy, found.importance, rehearsal, kind)
    record = record_of(judged, rows, plan, data, provenance)
    own = {"model": name, "feature_set": plan.feature_set.name, **{key: str(count) for key, count in counts(rows).items()}, **tags}
    with refusing_in_words(tracking_uri, "putting the baseline on record"):
        client = mlflow_client.connect(tracking_uri)
        run_id = create_run(client, tracking_uri, f"baseline {name} {plan.feature_set.name}")
        try:
            log_run(client, run_id, found.metrics, {"model": name, **found.parameters, **plan.weighting}, own, record)
        except BaseException:
            with contextlib.suppress(Exception):
                client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id)
    return BaselineRun(run_id, rows, found, rehearsal)
