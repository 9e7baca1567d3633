"""The command ``promote``: a version takes a role, through the gate."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from api.cli.conventions import write_summary
from api.cli.models.sources import data_if_any
from api.cli.options import AmountUnitOption, AuthorOption, ColumnsOption, LabelsAfterOption, StoreOption, SummaryOption
from api.provenance import provenance
from api.settings import Settings
from features.errors import UserError
from models.promotion import mlflow_promotion
from models.promotion.gate import Force
from models.promotion.trials import trial_of
from models.registry.record import MODEL_NAME


def promote(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version of the model, as tidemark train names it.")],
    role: Annotated[str, typer.Option("--as", metavar="ROLE", help="champion, challenger or shadow.")] = "champion",
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|FOLDER",
            help="A file, or a folder of tidemark training-set, with the newest matured weeks, to compare it with the champion on; else "
            "the archive.",
        ),
    ] = None,
    columns: ColumnsOption = "tidemark",
    amount_unit: AmountUnitOption = None,
    store: StoreOption = None,
    as_of: Annotated[str | None, typer.Option(metavar="DATE", help="Labels known by then count; else by the end of the data.")] = None,
    labels_after: LabelsAfterOption = None,
    weeks: Annotated[int, typer.Option(min=1, help="On how many of the newest matured weeks they are compared.")] = 4,
    despite_audit: Annotated[
        bool, typer.Option("--despite-audit", help="Even if its features failed their latest audit, or had none; goes on record.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Whatever speaks against it; needs --reason, and goes on record.")] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why it is forced.")] = "",
    author: AuthorOption = None,
    summary: SummaryOption = None,
) -> None:
    """Let a version serve as champion; workers and API follow within seconds. Or make it challenger or shadow.

    Refused if its features failed their latest tidemark audit or, though there is a champion, had none; if it is worse than the champion,
    beyond a margin, on the newest weeks whose labels have come; if its probabilities are off, or it is slow.
    """
    if role not in mlflow_promotion.ROLES:
        raise UserError(f"--as {role} is not a role; use one of {', '.join(mlflow_promotion.ROLES)}")
    if force and not reason.strip():
        raise UserError("--force goes on record and needs a reason; add --reason …")
    settings = Settings.resolve(require_services=False)
    tracking_uri = settings.mlflow
    given = data_if_any(settings.home, data, columns, amount_unit, store, as_of, labels_after)
    trial = None if given is None else trial_of(given, weeks)
    by = provenance(author).author
    verdict = mlflow_promotion.judge(version, role, trial, tracking_uri, despite_audit=by if despite_audit else None)
    forced = Force(by, reason.strip()) if force else None
    write_summary(summary, {**msgspec.to_builtins(verdict), "passed": verdict.passed, "forced": force})
    mlflow_promotion.promote(verdict, tracking_uri, forced)
    typer.echo(f"models:/{MODEL_NAME}/{version} is {role}")
    if verdict.overlooked is not None:
        typer.echo(f"although {verdict.overlooked.audit}")
    elif verdict.audit not in verdict.objections:
        typer.echo(f"{verdict.audit}")
    for objection in verdict.objections:
        typer.echo(f"forced, although {objection}")
