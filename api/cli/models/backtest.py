"""``tidemark backtest``: a model scores a file."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli.option_sets import with_option_sets
from api.cli.options import FileOptions, ModelUriOption, SummaryOption


@with_option_sets
def backtest(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV or Parquet file of transactions.")],
    options: FileOptions,
    scores: Annotated[
        Path, typer.Option(metavar="OUT.parquet", writable=True, help="Where the scores and features of each transaction go.")
    ],
    model: ModelUriOption = "models:/tidemark@champion",
    history: Annotated[
        bool, typer.Option("--history/--no-history", help="Let what came before --from warm the windows, or start from nothing.")
    ] = True,
    summary: SummaryOption = None,
) -> None:
    """Score a file's transactions as the stream would have, without Kafka.

    The scores stand in replay order: time, then file order; labels count from when they were known. With --no-history they are those
    of a replay of the same range onto empty topics.
    """
    from api.cli.models.run_backtest import run

    run(file, options, scores, model, history, summary)
