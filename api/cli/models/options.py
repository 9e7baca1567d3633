"""The options of the commands of models, as they are given."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import (
    AmountUnitOption,
    AsOfOption,
    AuthorOption,
    CapacityOption,
    ColumnsOption,
    CostOption,
    DataOption,
    FeaturesOption,
    FromOption,
    HistoryDaysOption,
    ImmatureOption,
    LabelsAfterOption,
    PropensityOption,
    SearchOption,
    SearchTriesOption,
    SeedOption,
    StoreOption,
    SummaryOption,
    ToOption,
)


@dataclass(frozen=True)
class TrainingOptions:
    """What ``train`` and ``retrain`` share: what to learn from, and how."""

    data: DataOption = None
    columns: ColumnsOption = "tidemark"
    amount_unit: AmountUnitOption = None
    store: StoreOption = None
    begin: FromOption = None
    end: ToOption = None
    as_of: AsOfOption = None
    features: FeaturesOption = None
    labels_after: LabelsAfterOption = None
    seed: SeedOption = 0
    history_days: HistoryDaysOption = "7,28,90"
    cost: CostOption = None
    capacity: CapacityOption = 0.005
    search: SearchOption = None
    search_tries: SearchTriesOption = 200
    immature: ImmatureOption = None
    propensity: PropensityOption = None
    author: AuthorOption = None
    summary: SummaryOption = None


@dataclass(frozen=True)
class PromoteOptions:
    """Of ``promote``."""

    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version of the model, as tidemark train names it.")]
    role: Annotated[str, typer.Option("--as", metavar="ROLE", help="champion, challenger or shadow.")] = "champion"
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|FOLDER",
            help="A file, or a folder of tidemark training-set, with the newest matured weeks, to compare it with the champion on; else "
            "the archive.",
        ),
    ] = None
    columns: ColumnsOption = "tidemark"
    amount_unit: AmountUnitOption = None
    store: StoreOption = None
    as_of: Annotated[str | None, typer.Option(metavar="DATE", help="Labels known by then count; else by the end of the data.")] = None
    labels_after: LabelsAfterOption = None
    weeks: Annotated[int, typer.Option(metavar="N", min=1, help="On how many of the newest matured weeks they are compared.")] = 4
    despite_audit: Annotated[
        bool, typer.Option("--despite-audit", help="Even if its features failed their latest audit, or had none; goes on record.")
    ] = False
    force: Annotated[bool, typer.Option("--force", help="Whatever speaks against it; needs --reason, and goes on record.")] = False
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why it is forced.")] = ""
    author: AuthorOption = None
    summary: SummaryOption = None


@dataclass(frozen=True)
class MonitorOptions:
    """Of ``monitor``."""

    as_of: Annotated[
        str | None, typer.Option(metavar="DATE", help="Say what was known as this day began, UTC; else all that is archived.")
    ] = None
    begin: Annotated[str | None, typer.Option("--from", metavar="DATE", help="The first day of decisions, UTC; else the archive's.")] = None
    end: Annotated[str | None, typer.Option("--to", metavar="DATE", help="The day after the last, UTC; else the archive's end.")] = None
    store: StoreOption = None
    labels_after: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How long labels take: what is younger isn't judged by; 7d.")
    ] = None
    cost: CostOption = None
    alert: Annotated[
        bool, typer.Option("--alert", help="Write to alerts.performance what has changed since the last time; at most once a day.")
    ] = False
    summary: SummaryOption = None
