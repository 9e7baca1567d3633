"""``tidemark explain``: one decision taken apart."""

from typing import Annotated

import typer

from api.cli.proof.options import AuditedOption


def explain(
    transaction_id: Annotated[str, typer.Argument(metavar="TRANSACTION_ID")],
    user: Annotated[str | None, typer.Option(metavar="USER_ID", help="Whose, if several users have used this id.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    features: AuditedOption = None,
) -> None:
    """Take one decision apart and make it again: the events in each window, the vector, model, score, policy, reasons and verdict.

    Fails with 1 if anything comes out differently, with 2 if there is no such decision.
    """
    from api.cli.proof.run_explain import run

    run(transaction_id, user, as_json, features)
