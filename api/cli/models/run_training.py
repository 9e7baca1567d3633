"""The commands ``train`` and ``retrain``."""

import resource
import time

import typer

from api.cli.conventions import progress, say, write_summary
from api.cli.models.choices import baseline_of
from api.cli.models.options import TrainingOptions
from api.cli.models.training_request import data_requested, plan_requested
from api.provenance import provenance
from api.settings import Settings
from features.errors import UserError
from features.history.moments import moment
from infra.local.lease import Lease
from models.promotion.mlflow_retraining import RetrainingPlan, retrain_once
from models.training.mlflow_baseline import train_baseline
from models.training.mlflow_training import train_and_register
from models.training.pipeline import TrainingPlan
from models.training.summary import baseline_summary, training_summary
from models.training_set.rows import TrainingSet
from streams.replay.repeats import left_out


def run_train(options: TrainingOptions, model: str) -> None:
    """As ``tidemark train`` promises."""
    started = time.monotonic()
    baseline = baseline_of(model, options.search)
    settings = Settings.resolve(require_services=False)
    registry = settings.registry()
    given = data_requested(options, settings.home)
    plan = plan_requested(options, given)
    repeats = {"duplicates": given.duplicates, "conflicts": given.conflicts}
    if any(repeats.values()):
        typer.echo(left_out(given.duplicates, given.conflicts))
    period = {"from": moment(plan.begin), "to": moment(plan.end), "as_of": moment(plan.as_of)}
    with progress("computing features", given.snapshot.rows) as advance:

        def rows_of(plan: TrainingPlan) -> TrainingSet:
            left = given.snapshot.rows

            def taken(count: int) -> None:
                nonlocal left
                left -= count
                advance(count)

            rows = given.rows_of(plan.feature_set, plan.begin, plan.end, plan.as_of, taken)
            advance(max(0, left))  # what comes after the last row that is asked for needs no features
            say(f"learning from {len(rows.is_fraud):,} rows, and judging on others what was learnt")
            return rows

        made_by, tags = provenance(options.author), {"data": given.name, **period}
        if baseline is not None:
            run, run_id = train_baseline(baseline, rows_of, plan, given.snapshot, made_by, registry, tags)
            write_summary(
                options.summary, {**baseline_summary(run, run_id, plan), **repeats, "seconds": round(time.monotonic() - started, 3)}
            )
            precision = run.baseline.out_of_fold.metrics()["validation_ap"]
            typer.echo(f"{model} is run {run_id} to compare with: average precision {precision:.3f}; it is no version of the registry")
            return
        found, registered = train_and_register(rows_of, plan, given.snapshot, made_by, registry, tags)
    rows = found.rows
    done = {
        **training_summary(found, registered, plan),
        **repeats,
        "seconds": round(time.monotonic() - started, 3),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    write_summary(options.summary, done)
    typer.echo(
        f"{registered.uri} is {registered.role}: {len(rows.is_fraud):,} transactions with {rows.frauds:,} frauds, {done['seconds']:.0f} s"
    )
    if found.why_plain_split is not None:
        typer.echo(f"fitted by a plain split in time, because {found.why_plain_split}")
    if rows.immature or rows.unlabelled:
        typer.echo(f"left out: {rows.immature:,} whose label was not known by {period['as_of']}, {rows.unlabelled:,} without a label")


def run_retrain(reason: str, options: TrainingOptions, weeks: int, lease_hours: float) -> None:
    """As ``tidemark retrain`` promises."""
    if not reason.strip():
        raise UserError("--reason is empty; name the alert, or the schedule")
    settings = Settings.resolve(require_services=False)
    registry = settings.registry()
    with Lease(settings.home / "retrain.lease", lease_hours * 3_600) as lease:
        if lease.held_by is not None:
            write_summary(options.summary, {"status": "running", "reason": reason, "owner": lease.held_by})
            typer.echo(f"{lease.held_by} is already running this; nothing to do")
            return
        given = data_requested(options, settings.home)
        plan = RetrainingPlan(reason, plan_requested(options, given), weeks)
        report = retrain_once(given, plan, provenance(options.author), registry)
    write_summary(options.summary, report)
    typer.echo(f"{report['model']}: {report['status']}; {report['sentence']}")
