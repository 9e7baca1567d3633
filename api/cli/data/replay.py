"""``tidemark replay``: sends a file's transactions."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli.option_sets import with_option_sets
from api.cli.options import FileOptions, RateOption, SummaryOption


def _give_up(name: str | None) -> None:
    if name is not None:
        from api.cli.data.run_replay import give_up

        give_up(name)
        raise typer.Exit


@with_option_sets
def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV or Parquet file of transactions.")],
    options: FileOptions,
    rate: RateOption = "max",
    aligned: Annotated[
        bool, typer.Option("--aligned", help="Run INGEST too, in event-time order over all partitions, for workers that don't.")
    ] = False,
    abandon: Annotated[
        str | None,
        typer.Option(metavar="NAME", is_eager=True, callback=_give_up, help="Alone: an aligned replay that was begun won't be finished."),
    ] = None,
    summary: SummaryOption = None,
) -> None:
    """Send a file's transactions, in order and with their labels in place, onto the topic.

    Either every row can be used or nothing is sent. Labels that fall into the range are sent, also those of earlier transactions.

    Over several partitions full speed changes the order in which merchants meet their customers. With --aligned it doesn't: decisions are
    those of `tidemark backtest`, while workers run with --stages labels,score. The same command again continues an interrupted one; with
    --abandon workers take what was sent of it where it stands.
    """
    from api.cli.data.run_replay import run

    run(file, options, rate, aligned, summary)
