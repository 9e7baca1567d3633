"""``tidemark explain``: one decision taken apart."""

import json

import typer

from api.cli.conventions import progress
from api.cli.proof.auditing import auditing
from api.deployment import feature_set_of
from api.settings import Settings
from features.errors import UserError
from streams.audit import explanation


def run(transaction_id: str, user: str | None, as_json: bool, features: str | None) -> None:
    """As ``tidemark explain`` promises."""
    feature_set_of(features)  # refused before anything is asked
    if not transaction_id.strip():
        raise UserError("TRANSACTION_ID is empty; give a transaction's id")
    config = Settings.resolve(require_services=True).agreed_config(features)
    with auditing(config) as running, progress("looking through scoring-log", running.ahead()) as advance:
        found = running.explain(transaction_id, user, advance)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        for line in explanation.text(found):
            typer.echo(line)
    if not found["reproduced"]:
        raise typer.Exit(1)
