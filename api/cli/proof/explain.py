"""``tidemark explain``: one decision taken apart."""

import json
from typing import Annotated

import typer

from api.cli.proof.auditing import AuditedOption, auditing
from api.settings import Settings
from streams.audit import explanation


def explain(
    transaction_id: Annotated[str, typer.Argument(metavar="TRANSACTION_ID")],
    user: Annotated[str | None, typer.Option(metavar="USER_ID", help="Whose, if several users have used this id.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    features: AuditedOption = None,
) -> None:
    """Take one decision apart and make it again: the events in each window, the vector, model, score, policy, reasons and verdict.

    Fails with 1 if anything comes out differently, with 2 if there is no such decision.
    """
    config = Settings.resolve(require_services=True).stream_config(features)
    with auditing(config) as running:
        found = running.explain(transaction_id, user)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        for line in explanation.text(found):
            typer.echo(line)
    if not found["reproduced"]:
        raise typer.Exit(1)
