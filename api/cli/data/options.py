"""The options of ``simulate``, as they are given."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import LabelsAfterOption, RateOption, SummaryOption

DEFAULT_DAYS = 90


@dataclass(frozen=True)
class SimulateOptions:
    """Of ``simulate``."""

    out: Annotated[
        Path | None, typer.Option(metavar="FILE.parquet", writable=True, help="Write a Parquet file, for --columns tidemark.")
    ] = None
    topic: Annotated[bool, typer.Option("--topic", help="Send to the topic instead, labels too.")] = False
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same transactions.")] = 0
    users: Annotated[int, typer.Option(metavar="N", help="How many users there are; each pays twice a day on average.")] = 5_000
    merchants: Annotated[int, typer.Option(metavar="N", help="How many merchants there are.")] = 10_000
    begin: Annotated[str, typer.Option("--from", metavar="DATE", help="The first day.")] = "2025-01-01"
    end: Annotated[str | None, typer.Option("--to", metavar="DATE", help="The day after the last.")] = None
    days: Annotated[int | None, typer.Option(metavar="N", help=f"How many days, instead of --to; {DEFAULT_DAYS} if neither is given.")] = (
        None
    )
    drift_at: Annotated[str | None, typer.Option(metavar="DATE", help="From this day on users and thieves behave differently.")] = None
    takeovers: Annotated[float, typer.Option(metavar="NUMBER", help="Accounts taken over each day among 5,000 users.")] = 0.5
    rate: RateOption = "max"
    labels_after: LabelsAfterOption = None
    summary: SummaryOption = None
