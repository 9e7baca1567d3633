"""Options that several commands share. Those that always come together are a dataclass, which `with_option_sets` spreads."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

QUIET = "TIDEMARK_QUIET"
"""The variable by which ``tidemark --quiet`` reaches whatever shows progress."""

DataOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE|FOLDER",
        help="A CSV or Parquet file of transactions with a fraud column, or a folder of tidemark training-set; else the archive.",
    ),
]
AsOfOption = Annotated[str | None, typer.Option(metavar="DATE", help="Learn only what was known by then; else by the end of the data.")]
FeaturesOption = Annotated[str | None, typer.Option(metavar="NAME", help="The feature set; else the deployment's.", show_default=False)]
SeedOption = Annotated[int, typer.Option(metavar="N", min=0, help="The same seed and data give the same model.")]
StoreOption = Annotated[
    str | None,
    typer.Option(metavar="FOLDER|s3://…", help="The offline store; else the deployment's."),
]
ColumnsOption = Annotated[
    str, typer.Option(metavar="PRESET|MAPPING", help="handbook, tidemark, or field=column,… and field=:value for a constant.")
]
AmountUnitOption = Annotated[str | None, typer.Option(metavar="major|minor", help="Whether amounts read 12.50 or 1250.")]
LabelsAfterOption = Annotated[
    str | None,
    typer.Option(metavar="DURATION|none", help="How long after a fraud its label comes; 7d if frauds are known."),
]
FromOption = Annotated[str | None, typer.Option("--from", metavar="DATE", help="The first day, UTC; else the file's first.")]
ToOption = Annotated[str | None, typer.Option("--to", metavar="DATE", help="The day after the last, UTC; else the end of the file.")]
SummaryOption = Annotated[Path | None, typer.Option("--json", metavar="FILE.json", writable=True, help="Write the summary here.")]
HistoryDaysOption = Annotated[
    str,
    typer.Option(metavar="DAYS,…|all", help="Lengths of history to choose from by the newest weeks; all rows are used if they are few."),
]
CostOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE", help="What thresholds are chosen by: fraud_loss, margin (shares), chargeback_fee, goodwill, review."
    ),
]
CapacityOption = Annotated[float, typer.Option(metavar="SHARE", min=0, max=1, help="The share of all transactions that can be reviewed.")]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="xgboost|logistic_regression|random_forest",
        help="Only xgboost becomes a version; a baseline becomes a run to compare with.",
    ),
]
SearchOption = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", min=1, help="Search for the trees' hyper-parameters for so long, on weeks before those that judge."),
]
SearchTriesOption = Annotated[
    int,
    typer.Option(metavar="N", min=1, help="At most so many tries; the same number gives the same model, unless the seconds end it sooner."),
]
ImmatureOption = Annotated[
    str | None,
    typer.Option(
        metavar="left-out|weighted",
        help="What becomes of transactions younger than labels take; weighted by the share known at their age. Else left out, or as the "
        "folder has them.",
    ),
]
PropensityOption = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="The file's column that says with which probability each transaction was let through; weighted by its inverse.",
    ),
]
AuthorOption = Annotated[str | None, typer.Option(metavar="NAME", help="Who is responsible for it; else the user of the machine.")]
MemoryOption = Annotated[str, typer.Option(metavar="SIZE", help="The heap of Spark's JVM; its sorts spill to disk beyond.")]
FirstDayOption = Annotated[str, typer.Option("--from", metavar="DATE", help="The first day, UTC.")]
DayAfterOption = Annotated[str, typer.Option("--to", metavar="DATE", help="The day after the last, UTC.")]
RateOption = Annotated[
    str, typer.Option(metavar="RATE", help="max, records a second such as 5000, or realtime×60: event time at 60 times its speed.")
]
ModelUriOption = Annotated[str, typer.Option("--model", metavar="URI", help="models:/tidemark/3, runs:/<run id> or a model's folder.")]


@dataclass(frozen=True)
class FileOptions:
    """What the columns of a file of transactions mean, and which of its days are taken."""

    columns: ColumnsOption
    amount_unit: AmountUnitOption = None
    begin: FromOption = None
    end: ToOption = None
    labels_after: LabelsAfterOption = None
