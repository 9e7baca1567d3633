"""``tidemark demo``: everything at work on simulated transactions."""

import sys
from typing import Annotated

import typer

from api.cli.options import SummaryOption

_UNATTENDED_TRANSACTIONS = 20_000


def demo(
    unattended: Annotated[bool, typer.Option("--exit", help="Exit when all is decided; so it does anyway without a terminal.")] = False,
    transactions: Annotated[
        int | None,
        typer.Option(metavar="N", help=f"How many to send in all; else {_UNATTENDED_TRANSACTIONS:,} with --exit, no end without."),
    ] = None,
    rate: Annotated[float, typer.Option(metavar="RATE", min=1, max=20_000, help="Live transactions a second.")] = 400,
    summary: SummaryOption = None,
) -> None:
    """See it at work: services, a model, workers, the API, and simulated transactions with their frauds.

    On a terminal it goes on until Ctrl-C and then ends all that it has started. Services that are up already are used and stay up.
    """
    if not (unattended or sys.stdin.isatty()):
        typer.echo("there is no terminal, so this ends when all is decided, as with --exit")
        unattended = True
    if transactions is None and unattended:
        transactions = _UNATTENDED_TRANSACTIONS
    from api.cli.services.run_demo import run

    run(unattended, transactions, rate, summary)
