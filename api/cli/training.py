"""The commands ``train`` and ``retrain``."""

import resource
import time
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.conventions import progress, write_summary
from api.cli.model_options import (
    AmountUnitOption,
    AuthorOption,
    CapacityOption,
    ColumnsOption,
    CostOption,
    DataOption,
    FromOption,
    HistoryDaysOption,
    ImmatureOption,
    LabelsAfterOption,
    ModelOption,
    PropensityOption,
    SearchOption,
    SearchTriesOption,
    StoreOption,
    SummaryOption,
    ToOption,
)

if TYPE_CHECKING:
    from models.training_set import TrainingSet


def train(
    data: DataOption = None,
    columns: ColumnsOption = "tidemark",
    amount_unit: AmountUnitOption = None,
    store: StoreOption = None,
    begin: FromOption = None,
    end: ToOption = None,
    as_of: Annotated[
        str | None, typer.Option(metavar="DATE", help="Learn only what was known by then; else by the end of the file.")
    ] = None,
    features: Annotated[str, typer.Option(help="The feature set.")] = "fraud_v1",
    labels_after: LabelsAfterOption = None,
    seed: Annotated[int, typer.Option(help="The same seed and data give the same model.")] = 0,
    history_days: HistoryDaysOption = "7,28,90",
    cost: CostOption = None,
    capacity: CapacityOption = 0.005,
    model: ModelOption = "xgboost",
    search: SearchOption = None,
    search_tries: SearchTriesOption = 200,
    immature: ImmatureOption = "left-out",
    propensity: PropensityOption = None,
    author: AuthorOption = None,
    summary: SummaryOption = None,
) -> None:
    """Train a model and register it: as champion if there is none, else as a candidate.

    It learns from a file's transactions, from a folder that `tidemark training-set` has made, or from what is archived in the offline
    store: the decisions, with their vectors as they were served and their labels. Of a file, what happened before --from only warms the
    windows. Transactions whose label isn't known by --as-of are left out, or weighted with --immature weighted; of the archive, those
    blocked without a label are left out too.
    """
    from api.settings import Settings
    from api.training.data import baseline_of, data_of, feature_set_of, moment, parse_costs, parse_histories, weighting_of
    from api.training.folder import data_of_training_folder
    from api.training.provenance import provenance
    from api.training.search import search_budget
    from api.training.summary import baseline_summary, training_summary
    from models.mlflow_baseline import train_baseline
    from models.mlflow_pipeline import TrainingPlan, train_and_register
    from streams.archive.training_folder import is_training_folder

    started = time.monotonic()
    baseline = baseline_of(model, search)
    feature_set = feature_set_of(features)
    settings = Settings.resolve(require_services=False)
    weighting = weighting_of(immature, propensity)
    if data is not None and is_training_folder(data):
        chosen = data_of_training_folder(data, begin, end, as_of, labels_after, weighting)
    else:
        chosen = data_of(settings.home, data, columns, amount_unit, store, begin, end, as_of, labels_after, weighting)
    plan = TrainingPlan(
        feature_set,
        chosen.begin,
        chosen.end,
        chosen.as_of,
        chosen.labels_after,
        seed,
        histories=parse_histories(history_days),
        costs=parse_costs(cost or []),
        capacity=capacity,
        immature=weighting.immature,
        propensity=weighting.propensity,
        search=None if search is None else search_budget(search, search_tries),
    )
    period = {"from": moment(plan.begin), "to": moment(plan.end), "as_of": moment(plan.as_of)}
    with progress("computing features", None) as advance:

        def rows_of(plan: TrainingPlan) -> "TrainingSet":
            return chosen.rows_of(plan.feature_set, plan.begin, plan.end, advance)

        made_by, tags = provenance(author), {"data": chosen.name, **period}
        if baseline is not None:
            run = train_baseline(baseline, rows_of, plan, chosen.snapshot, made_by, settings.mlflow, tags)
            write_summary(summary, {**baseline_summary(run, plan), "seconds": round(time.monotonic() - started, 3)})
            precision = run.baseline.metrics["validation_ap"]
            typer.echo(f"{model} is run {run.run_id} to compare with: average precision {precision:.3f}; it is no version of the registry")
            return
        found, registered = train_and_register(rows_of, plan, chosen.snapshot, made_by, settings.mlflow, tags)
    rows = found.rows
    done = {
        **training_summary(found, registered, plan),
        "seconds": round(time.monotonic() - started, 3),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    write_summary(summary, done)
    typer.echo(
        f"{registered.uri} is {registered.role}: {len(rows.is_fraud):,} transactions with {rows.frauds:,} frauds, {done['seconds']:.0f} s"
    )
    if rows.immature or rows.unlabelled:
        typer.echo(f"left out: {rows.immature:,} whose label was not known by {period['as_of']}, {rows.unlabelled:,} without a label")


def retrain(
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why now: the alert, or the schedule.")],
    data: DataOption = None,
    columns: ColumnsOption = "tidemark",
    amount_unit: AmountUnitOption = None,
    store: StoreOption = None,
    as_of: Annotated[
        str | None, typer.Option(metavar="DATE", help="Learn only what was known by then; else by the end of the data.")
    ] = None,
    features: Annotated[str, typer.Option(help="The feature set.")] = "fraud_v1",
    labels_after: LabelsAfterOption = None,
    seed: Annotated[int, typer.Option(help="The same seed and data give the same model.")] = 0,
    history_days: HistoryDaysOption = "7,28,90",
    weeks: Annotated[int, typer.Option(min=1, help="How many of the newest matured weeks are held back to compare on.")] = 1,
    cost: CostOption = None,
    capacity: CapacityOption = 0.005,
    lease_hours: Annotated[float, typer.Option(min=0.1, help="How long a run may take before another may begin.")] = 4.0,
    author: AuthorOption = None,
    summary: SummaryOption = None,
) -> None:
    """Train anew, as an alert or a schedule wants it: ends with a candidate in the registry and a report.

    One run at a time: while one works, another ends at once and says so. The same data asked for again gives the version it gave before.
    The candidate is compared with the champion on weeks it hasn't seen, then refitted on them too; nothing is promoted.
    """
    from api.settings import Settings
    from api.training.data import data_of, feature_set_of, parse_costs, parse_histories
    from api.training.lease import Lease
    from api.training.provenance import provenance
    from api.training.retraining import RetrainingPlan, retrain_once

    feature_set = feature_set_of(features)
    settings = Settings.resolve(require_services=False)
    with Lease(settings.home / "retrain.lease", lease_hours * 3_600) as lease:
        if lease.held_by is not None:
            write_summary(summary, {"status": "running", "reason": reason, "owner": lease.held_by})
            typer.echo(f"a run of {lease.held_by} is at it; nothing to do")
            return
        given = data_of(settings.home, data, columns, amount_unit, store, None, None, as_of, labels_after)
        plan = RetrainingPlan(reason, feature_set, seed, parse_histories(history_days), weeks, parse_costs(cost or []), capacity)
        report = retrain_once(given, plan, provenance(author), settings.mlflow)
    write_summary(summary, report)
    typer.echo(f"{report['model']}: {report['status']}; {report['told']}")
