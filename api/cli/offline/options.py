"""The options of the commands of the offline store, as they are given."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import (
    AmountUnitOption,
    DayAfterOption,
    FeaturesOption,
    FirstDayOption,
    FromOption,
    MemoryOption,
    ModelUriOption,
    StoreOption,
    SummaryOption,
    ToOption,
)

# The weeks that choose and judge a model, and those of the gate, lie within.
_WHOLE_WEEKS = 5


@dataclass(frozen=True)
class ScoreUsersOptions:
    """Of ``score-users``."""

    as_of: Annotated[
        str, typer.Option(metavar="DATE|now", help="What was known as this day began, UTC, or is known now; the partition is that day's.")
    ] = "now"
    store: StoreOption = None
    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read the history from this CSV or Parquet file instead of the archive.")
    ] = None
    columns: Annotated[
        str,
        typer.Option(metavar="PRESET|MAPPING", help="Of --data: handbook, tidemark, or field=column,… and field=:value for a constant."),
    ] = "tidemark"
    amount_unit: AmountUnitOption = None
    labels_after: Annotated[
        str | None, typer.Option(metavar="DURATION|none", help="How long after a fraud of --data its label comes; 7d.")
    ] = None
    model: ModelUriOption = "models:/tidemark@champion"
    engine: Annotated[str, typer.Option(metavar="auto|local|spark", help="auto: Spark from 3 million archived records on.")] = "auto"
    memory: MemoryOption = "2g"
    max_lag: Annotated[
        float | None, typer.Option(min=0, metavar="HOURS", help="Refuse if the newest transaction known is older than this as of then.")
    ] = None
    topic: Annotated[bool, typer.Option("--topic", help="Publish to the topic user-risk too, unless a newer day is there.")] = False
    summary: SummaryOption = None


@dataclass(frozen=True)
class TrainingSetOptions:
    """Of ``training-set``."""

    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the Parquet files go; what is there is replaced.")]
    store: StoreOption = None
    begin: FromOption = None
    end: ToOption = None
    as_of: Annotated[str | None, typer.Option(metavar="DATE", help="Take the labels known by then; else by the archive's end.")] = None
    labels_after: Annotated[str | None, typer.Option(metavar="DURATION", help="How long labels take; 7d.")] = None
    features: FeaturesOption = None
    immature: Annotated[
        str,
        typer.Option(
            metavar="left-out|weighted",
            help="What becomes of transactions younger than labels take; weighted by the share known at their age.",
        ),
    ] = "left-out"
    keep_every: Annotated[
        int, typer.Option(metavar="N", min=1, help="Keep one in so many older legitimate transactions, so many times as heavy.")
    ] = 1
    whole_weeks: Annotated[
        int,
        typer.Option(
            metavar="N", min=_WHOLE_WEEKS, help="Of so many newest weeks of known labels all are kept, for they choose and judge."
        ),
    ] = _WHOLE_WEEKS
    engine: Annotated[str, typer.Option(metavar="spark|local", help="Both make the same; local holds all in memory.")] = "spark"
    memory: MemoryOption = "2g"
    summary: SummaryOption = None


@dataclass(frozen=True)
class ArchiveOptions:
    """Of ``archive``."""

    once: Annotated[bool, typer.Option("--once", help="Archive what is there now, and exit.")] = False
    compact: Annotated[
        bool, typer.Option("--compact", help="Join small files: after --once, else instead of archiving. An archive may run meanwhile.")
    ] = False
    store: StoreOption = None
    every: Annotated[float, typer.Option(metavar="SECONDS", min=1, help="Seconds from one batch to the next, without --once.")] = 30.0
    memory: MemoryOption = "1g"
    summary: SummaryOption = None


@dataclass(frozen=True)
class BackfillOptions:
    """Of ``backfill``."""

    begin: FirstDayOption
    end: DayAfterOption
    features: FeaturesOption = None
    store: StoreOption = None
    views: Annotated[bool, typer.Option(help="Fill the user views' tables too, for Feast's historical features.")] = True
    memory: MemoryOption = "2g"
    summary: SummaryOption = None


@dataclass(frozen=True)
class ExportOptions:
    """Of ``export``."""

    begin: FirstDayOption
    end: DayAfterOption
    out: Annotated[str, typer.Option(metavar="DIR", help="An empty or new folder, or an s3:// prefix.")]
    features: FeaturesOption = None
    served: Annotated[bool, typer.Option("--served/--backfill", help="As decisions used them, or as recomputed from the archive.")] = True
    store: StoreOption = None
    summary: SummaryOption = None


@dataclass(frozen=True)
class OutcomesOptions:
    """Of ``outcomes``."""

    begin: Annotated[str | None, typer.Option("--from", metavar="DATE", help="The first day, UTC; else the archive's.")] = None
    end: Annotated[str | None, typer.Option("--to", metavar="DATE", help="The day after the last, UTC; else the archive's end.")] = None
    as_of: Annotated[str | None, typer.Option(metavar="DATE", help="What was known as this day began, UTC; else all that is archived.")] = (
        None
    )
    labels_after: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How long labels take: what is younger without one is immature; 7d.")
    ] = None
    store: StoreOption = None
    summary: SummaryOption = None
