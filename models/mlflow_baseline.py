"""A baseline's training from beginning to end: rows → fit → rehearsal → a run in MLflow, to compare with. No version is made of it."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from features.definitions import DAY
from models import mlflow_client
from models.baseline_fitting import Baseline, BaselineName, fit_baseline
from models.data_snapshot import DataSnapshot, Provenance
from models.fitting import require_enough_frauds
from models.leakage import require_no_leak
from models.mlflow_pipeline import TrainingPlan, counts
from models.mlflow_record import Record, log_run, refusing_in_words
from models.mlflow_registry import MODEL_NAME, create_run
from models.model_card import CardFacts, model_card
from models.plots import evaluation_plots
from models.reference import reference
from models.rehearsal import Rehearsal, rehearse
from models.scored_rows import KnownFrauds
from models.training_set import TrainingSet

BASELINES: tuple[BaselineName, ...] = get_args(BaselineName)
_KINDS = {"logistic_regression": "Logistic regression", "random_forest": "A random forest"}


@dataclass(frozen=True)
class BaselineRun:
    """The run, the rows, and how the baseline did."""

    run_id: str
    rows: TrainingSet
    baseline: Baseline
    rehearsal: Rehearsal


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
    with refusing_in_words(tracking_uri, "reaching the registry"):
        mlflow_client.connect(tracking_uri).search_experiments(max_results=1)
    names = plan.feature_set.names
    rows, _ = rows_of(plan).mature(plan.as_of, plan.labels_after)
    require_no_leak(rows, names)
    require_enough_frauds(rows)
    found = fit_baseline(name, rows, names, plan.histories, plan.labels_after, plan.seed, plan.threads)
    if rows.user is None:
        raise ValueError("rows must say their users to be judged")
    known = KnownFrauds.of(rows.event_time, rows.user, rows.is_fraud, plan.labels_after)
    rehearsal = rehearse(found.out_of_fold, names, plan.costs, plan.capacity, known, plan.seed, plan.resamples, calibrated=True)
    record = _record(found, rows, rehearsal, plan, data, provenance)
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


def _record(
    found: Baseline, rows: TrainingSet, rehearsal: Rehearsal, plan: TrainingPlan, data: DataSnapshot, provenance: Provenance
) -> Record:
    scored = found.out_of_fold
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
            found.parameters,
            rehearsal.policy,
            rehearsal.evaluation,
            rehearsal.gap / DAY,
            kind=f"{_KINDS[found.name]} (scikit-learn), a baseline to compare with, which is never registered.",
        )
    )
    drift = reference(plan.feature_set.names, rows.vectors, rows.event_time, scored.probability, scored.rows.event_time)
    plots = evaluation_plots(rehearsal.rows, rehearsal.policy, plan.costs, found.importance)
    return Record(data, provenance, rehearsal.evaluation, drift, card, plots)
