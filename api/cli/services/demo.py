"""``tidemark demo``: everything at work on simulated transactions."""

from typing import Annotated

import typer

from api.cli.conventions import write_summary
from api.cli.options import SummaryOption
from api.demo.show import Options, show
from features.errors import UserError

_UNATTENDED_TRANSACTIONS = 20_000


def demo(
    unattended: Annotated[bool, typer.Option("--exit", help="Exit when all is decided; needs no terminal.")] = False,
    transactions: Annotated[
        int | None, typer.Option(help=f"How many to send in all; else {_UNATTENDED_TRANSACTIONS:,} with --exit, no end without.")
    ] = None,
    rate: Annotated[float, typer.Option(min=1, max=20_000, help="Live transactions a second.")] = 400,
    summary: SummaryOption = None,
) -> None:
    """See it at work: services, a model, workers, the API, and simulated transactions with their frauds.

    On a terminal it goes on until Ctrl-C and then ends all that it has started. Services that are up already are used and stay up.
    """
    if transactions is None and unattended:
        transactions = _UNATTENDED_TRANSACTIONS
    shown = show(Options(unattended, transactions, rate))
    if shown.summary is not None:
        write_summary(summary, shown.summary)
    if shown.wrong is not None:
        raise UserError(shown.wrong)
    if shown.status:
        raise typer.Exit(shown.status)
