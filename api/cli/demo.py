"""``tidemark demo``: everything at work on simulated transactions."""

from pathlib import Path
from typing import Annotated

import typer

_UNATTENDED_TRANSACTIONS = 20_000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    unattended: Annotated[bool, typer.Option("--exit", help="Exit when all is decided; needs no terminal.")] = False,
    transactions: Annotated[
        int | None, typer.Option(help=f"How many to send in all; with --exit {_UNATTENDED_TRANSACTIONS:,} unless told, else no end.")
    ] = None,
    rate: Annotated[float, typer.Option(min=1, max=20_000, help="Live transactions a second.")] = 400,
    features: Annotated[str, typer.Option(help="The feature set to compute.")] = "fraud_v1",
    summary: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the summary here.")] = None,
) -> None:
    """See it at work: services, a model, workers, the API, and simulated transactions with their frauds.

    On a terminal it goes on until Ctrl-C and then ends all that it has started. Services that are up already are used and stay up.
    """
    from api.cli.conventions import write_summary
    from api.demo.show import Options, show
    from features.definitions import FEATURE_SETS
    from features.errors import UserError

    if features not in FEATURE_SETS:
        raise UserError(f"--features {features} is no feature set; say one of {', '.join(FEATURE_SETS)}")
    if transactions is None and unattended:
        transactions = _UNATTENDED_TRANSACTIONS
    shown = show(Options(unattended, transactions, rate, features))
    if shown.summary is not None:
        write_summary(summary, shown.summary)
    if shown.wrong is not None:
        raise UserError(shown.wrong)
    if shown.status:
        raise typer.Exit(shown.status)
