"""The command ``promote``: a version takes a role, through the gate."""

import msgspec
import typer

from api.cli.conventions import write_summary
from api.cli.models.options import PromoteOptions
from api.cli.models.sources import data_if_any
from api.provenance import provenance
from api.settings import Settings
from features.errors import UserError
from models.promotion import mlflow_promotion
from models.promotion.gate import Force
from models.promotion.trials import trial_of
from models.registry.record import MODEL_NAME

# A registry's numbers are 32 bits.
_MOST_DIGITS = 9


def run(options: PromoteOptions) -> None:
    """As ``tidemark promote`` promises."""
    if options.role not in mlflow_promotion.ROLES:
        raise UserError(f"--as {options.role} is not a role; use one of {', '.join(mlflow_promotion.ROLES)}")
    if options.force and not options.reason.strip():
        raise UserError("--force goes on record and needs a reason; add --reason …")
    if not options.version.isdecimal() or len(options.version) > _MOST_DIGITS:
        raise UserError(f"{options.version} is no version's number; `tidemark promote` takes one of those that training says, such as 2")
    settings = Settings.resolve(require_services=False)
    tracking_uri = settings.registry()
    given = data_if_any(
        settings.home, options.data, options.columns, options.amount_unit, options.store, options.as_of, options.labels_after
    )
    trial = None if given is None else trial_of(given, options.weeks)
    by = provenance(options.author).author
    verdict = mlflow_promotion.judge(
        options.version, options.role, trial, tracking_uri, despite_audit=by if options.despite_audit else None
    )
    forced = Force(by, options.reason.strip()) if options.force else None
    write_summary(options.summary, {**msgspec.to_builtins(verdict), "passed": verdict.passed, "forced": options.force})
    mlflow_promotion.promote(verdict, tracking_uri, forced)
    typer.echo(f"models:/{MODEL_NAME}/{options.version} is {options.role}")
    if verdict.overlooked is not None:
        typer.echo(f"although {verdict.overlooked.audit}")
    elif verdict.audit not in verdict.objections:
        typer.echo(f"{verdict.audit}")
    for objection in verdict.objections:
        typer.echo(f"forced, although {objection}")
