"""``tidemark demo``: everything at work on simulated transactions."""

from pathlib import Path

import typer

from api.cli.conventions import write_summary
from api.demo.show import Options, show
from features.errors import UserError


def run(unattended: bool, transactions: int | None, rate: float, summary: Path | None) -> None:
    """As ``tidemark demo`` promises. Without a number of ``transactions`` it goes on until it is stopped."""
    shown = show(Options(unattended, transactions, rate))
    if shown.summary is not None:
        write_summary(summary, shown.summary)
    if shown.wrong is not None:
        raise UserError(shown.wrong)
    if shown.status:
        raise typer.Exit(shown.status)
