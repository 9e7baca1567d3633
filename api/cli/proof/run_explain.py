"""``tidemark explain``: one decision taken apart."""

import json

import typer

from api.cli.proof.auditing import auditing
from api.settings import Settings
from streams.audit import explanation


def run(transaction_id: str, user: str | None, as_json: bool, features: str | None) -> None:
    """As ``tidemark explain`` promises."""
    config = Settings.resolve(require_services=True).agreed_config(features)
    with auditing(config) as running:
        found = running.explain(transaction_id, user)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        for line in explanation.text(found):
            typer.echo(line)
    if not found["reproduced"]:
        raise typer.Exit(1)
