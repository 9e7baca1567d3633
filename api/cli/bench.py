"""``tidemark bench``: measures, on services of its own where it needs any, and says on what."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.conventions import day_ms, write_summary
from features.errors import UserError

if TYPE_CHECKING:
    from api.bench.workload import Source

SummaryOption = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures here.")]
QuickOption = Annotated[bool, typer.Option(help="Done within 3 minutes; the figures are rougher.")]
PartitionsOption = Annotated[int, typer.Option(min=1, help="Partitions of each topic.")]
RunsOption = Annotated[int, typer.Option(min=1, help="Runs; the median counts.")]
DataOption = Annotated[Path | None, typer.Option(metavar="FILE", help="A CSV or Parquet file of transactions; else they are simulated.")]
ColumnsOption = Annotated[str | None, typer.Option(help="What its columns mean: handbook, tidemark, or field=column,…")]
AmountUnitOption = Annotated[str | None, typer.Option(metavar="major|minor", help="Whether its amounts read 12.50 or 1250.")]

PeersOption = Annotated[
    str | None,
    typer.Option(
        metavar="all|none|NAME,…",
        help="Other programs to measure on the same topic, by their folders in tests/benchmarks/peers; else the bare loop alone.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the group of commands to the app."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    for command in (stream, latency, delivery, kernel, keys, handbook):
        group.command()(command)
    app.add_typer(group, name="bench", help="Measure rates and latencies, on services that it starts and ends itself.")


def stream(
    data: DataOption = None,
    columns: ColumnsOption = None,
    amount_unit: AmountUnitOption = None,
    transactions: Annotated[int | None, typer.Option(min=1_000, help="How many; else all of the file, or 1,400,000 simulated.")] = None,
    partitions: PartitionsOption = 4,
    runs: RunsOption = 3,
    peers: PeersOption = None,
    quick: QuickOption = False,
    summary: SummaryOption = None,
) -> None:
    """Transactions a second through both stages: exactly once, with a full topic and while a replay fills it; and at least once.

    Beside them other programs on the same topic, such as a bare loop that only consumes, parses and produces.
    """
    from api.bench import stream as bench
    from api.bench.peers import chosen

    source = _source(data, columns, amount_unit)
    spec = bench.Spec(source, transactions or (None if source else bench.Spec.transactions), partitions, runs, chosen(peers))
    figures = _measured(lambda: bench.run(spec.quick() if quick else spec, typer.echo), summary)
    rates = figures["exactly_once"]
    typer.echo(f"exactly once: {rates['tx_per_s']:,.0f} tx/s; while a replay fills the topic: {rates['replayed']['tx_per_s']:,.0f} tx/s")
    typer.echo(f"at least once: {figures['at_least_once']['tx_per_s']:,.0f} tx/s")
    for peer in (figures.get("bare_loop"), *figures.get("peers", {}).values()):
        if peer is not None:
            typer.echo(f"{peer['title']}: " + (f"{peer['tx_per_s']:,.0f} tx/s" if peer["tx_per_s"] else "failed, see above"))


def latency(
    rates: Annotated[str, typer.Option(help="Transactions a second to offer, one rate after the other.")] = "1000,5000",
    seconds: Annotated[int, typer.Option(min=1, help="How long each rate is measured.")] = 20,
    warm_up: Annotated[int, typer.Option(min=0, help="How long it is offered before.")] = 5,
    partitions: PartitionsOption = 4,
    runs: RunsOption = 3,
    quick: QuickOption = False,
    summary: SummaryOption = None,
) -> None:
    """From the moment a transaction was due to be sent to the arrival of its committed decision, at fixed offered rates."""
    from api.bench import latency as bench

    spec = bench.Spec(_whole_numbers("--rates", rates, "1000,5000"), seconds, warm_up, partitions=partitions, runs=runs)
    figures = _measured(lambda: bench.run(spec.quick() if quick else spec, typer.echo), summary)
    for rate, found in figures["rates"].items():
        typer.echo(f"{int(rate):,} tx/s: p50 {found['p50_ms']:.0f} ms, p90 {found['p90_ms']:.0f} ms, p99 {found['p99_ms']:.0f} ms")


def delivery(
    transactions: Annotated[int, typer.Option(min=10_000, help="How many, simulated, from a full topic.")] = 600_000,
    seconds: Annotated[int, typer.Option(min=1, help="How long 1,000 transactions a second are offered.")] = 20,
    partitions: PartitionsOption = 4,
    runs: RunsOption = 3,
    quick: QuickOption = False,
    summary: SummaryOption = None,
) -> None:
    """Exactly once against at least once, by turns: rate from a full topic, and delay at 1,000 transactions a second."""
    from api.bench import delivery as bench

    spec = bench.Spec(transactions, seconds, partitions, runs)
    figures = _measured(lambda: bench.run(spec.quick() if quick else spec, typer.echo), summary)
    typer.echo(f"exactly once costs {100 * figures['cost_of_exactly_once']:.0f} % of the rate")


def kernel(
    data: DataOption = None,
    columns: ColumnsOption = None,
    amount_unit: AmountUnitOption = None,
    transactions: Annotated[int | None, typer.Option(min=1_000, help="How many; else all of the file, or 1,400,000 simulated.")] = None,
    runs: RunsOption = 3,
    quick: QuickOption = False,
    summary: SummaryOption = None,
) -> None:
    """What windows, model, both stages and a backtest cost in one process, without broker or store."""
    from api.bench import kernel as bench

    source = _source(data, columns, amount_unit)
    spec = bench.Spec(source, transactions or (None if source else bench.Spec.transactions), runs=runs)
    figures = _measured(lambda: bench.run(spec.quick() if quick else spec, typer.echo), summary)
    rate = min(figures[f"{entity}_updates_per_s"]["median"] for entity in ("user", "merchant"))
    typer.echo(f"windows: {rate:,.0f} updates/s; a backtest of {figures['transactions']:,}: {figures['backtest_s']['median']:.1f} s")


def keys(
    numbers: Annotated[
        str, typer.Option(metavar="N,…", help="How many keys, one number after the other.")
    ] = "10000,100000,1000000,10000000",
    quick: QuickOption = False,
    summary: SummaryOption = None,
) -> None:
    """Memory a key and CPU an update of a worker, as its keys become more."""
    from api.bench import keys as bench

    spec = bench.Spec(_whole_numbers("--numbers", numbers, "10000,100000"))
    _measured(lambda: bench.run(spec.quick() if quick else spec, typer.echo), summary)


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
    from api.bench import handbook as bench
    from models.handbook_protocol import TEST_STARTS

    if data is None:
        raise UserError("no file to measure on; name one with the handbook's columns by --data, or in TIDEMARK_HANDBOOK")
    starts = TEST_STARTS if test_start is None else (day_ms("--test-start", test_start),)
    figures = _measured(lambda: bench.run(bench.Spec(data, scores, starts, seed), typer.echo), summary)
    for week in figures["weeks"]:
        typer.echo(f"{week['test_start']}: {_ranking(week[bench.OURS])}")
        for name, claim in week.get("beside_published", {}).get("claims", {}).items():
            typer.echo(f"  {name}: {claim} the best published figure, {week['beside_published']['best_of_each_figure'][name]}")
    for model, found in figures["mean"].items():
        typer.echo(f"mean of {len(starts)} {'week' if len(starts) == 1 else 'weeks'}, {model}: {_ranking(found)}")


def _ranking(found: dict[str, dict[str, float]]) -> str:
    titles = {"auc": "AUC ROC", "ap": "average precision", "cp100": "card precision@100"}
    return ", ".join(f"{titles[name]} {f['value']:.3f} [{f['low']:.3f}, {f['high']:.3f}]" for name, f in found.items())


def _source(data: Path | None, columns: str | None, amount_unit: str | None) -> "Source | None":
    from api.bench.workload import Source

    if (data is None) != (columns is None):
        raise UserError("--data and --columns belong together; give both, or neither to simulate")
    return Source(data, columns, amount_unit) if data is not None and columns is not None else None


def _whole_numbers(option: str, text: str, example: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1 or len(set(numbers)) < len(numbers):
        raise UserError(f"{option} {text} must be different whole numbers above 0; say for example {example}")
    return numbers


def _measured(measure: Callable[[], dict[str, Any]], summary: Path | None) -> dict[str, Any]:
    """The figures, with what they were measured on, written if asked for. Services end with it, also by SIGTERM."""
    from api.bench.provenance import command_line, provenance

    made_on = provenance(command_line())
    before = signal.signal(signal.SIGTERM, _end)
    try:
        figures = {**made_on, **measure()}
    finally:
        signal.signal(signal.SIGTERM, before)
    write_summary(summary, figures)
    return figures


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
