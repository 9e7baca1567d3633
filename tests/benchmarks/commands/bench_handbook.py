"""``handbook``: how well the model finds frauds."""

from pathlib import Path
from typing import Annotated

import typer

from features.errors import UserError
from features.history.moments import day_ms
from tests.benchmarks.commands.bench_measured import SummaryOption, measured


def register(group: typer.Typer) -> None:
    """Add the command to the group."""
    group.command()(handbook)


def handbook(
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A file with the handbook's columns; else what TIDEMARK_HANDBOOK names.", envvar="TIDEMARK_HANDBOOK"
        ),
    ] = None,
    test_start: Annotated[
        str | None, typer.Option(metavar="DATE", help="The first of seven test days; else the seven weeks from 2018-07-11 to 2018-08-22.")
    ] = None,
    scores: Annotated[
        Path | None, typer.Option(metavar="OUT.parquet", help="Where the probability of each transaction of the test days goes.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed and data give the same scores.")] = 0,
    summary: SummaryOption = None,
) -> None:
    """How well the pipeline's own model finds frauds, by the protocol of the Fraud Detection Handbook; needs no services.

    Each model learns only what was known when its test week began.
    """
    from tests.benchmarks.handbook.handbook_protocol import TEST_STARTS
    from tests.benchmarks.measures import handbook as bench

    if data is None:
        raise UserError("no file to measure on; name one with the handbook's columns by --data, or in TIDEMARK_HANDBOOK")
    starts = TEST_STARTS if test_start is None else (day_ms("--test-start", test_start),)
    figures = measured(lambda: bench.run(bench.Spec(data, scores, starts, seed), typer.echo), summary)
    for week in figures["weeks"]:
        typer.echo(f"{week['test_start']}: {_ranking(week[bench.OURS])}")
        for name, claim in week.get("beside_published", {}).get("claims", {}).items():
            typer.echo(f"  {name}: {claim} the best published figure, {week['beside_published']['best_of_each_figure'][name]}")
    for model, found in figures["mean"].items():
        typer.echo(f"mean of {len(starts)} {'week' if len(starts) == 1 else 'weeks'}, {model}: {_ranking(found)}")


def _ranking(found: dict[str, dict[str, float]]) -> str:
    titles = {"auc": "AUC ROC", "ap": "average precision", "cp100": "card precision@100"}
    return ", ".join(f"{titles[name]} {f['value']:.3f} [{f['low']:.3f}, {f['high']:.3f}]" for name, f in found.items())
