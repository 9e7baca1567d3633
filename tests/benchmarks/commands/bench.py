"""The benchmarks: each measures, on services of its own where it needs any, and says on what."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, Self, TypeVar

import typer

from features.errors import UserError
from tests.benchmarks.commands import bench_handbook, bench_results
from tests.benchmarks.commands.bench_measured import SummaryOption, measured

if TYPE_CHECKING:
    from tests.benchmarks.load.workload import Source

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


class _Spec(Protocol):
    def quick(self) -> Self: ...


_AnySpec = TypeVar("_AnySpec", bound=_Spec)


def program() -> typer.Typer:
    """The program with a command for each benchmark."""
    group = typer.Typer(
        help="Measure rates and latencies, on services that it starts and ends itself.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for command in (stream, latency, scaling, kernel, keys, backfill, recovery, soak):
        group.command()(command)
    group.command("api")(endpoint)
    bench_handbook.register(group)
    bench_results.register(group)
    return group


def stream(
    data: DataOption = None,
    columns: ColumnsOption = None,
    amount_unit: AmountUnitOption = None,
    transactions: Annotated[int | None, typer.Option(min=1_000, help="How many; else all of the file, or 1,400,000 simulated.")] = None,
    partitions: PartitionsOption = 4,
    runs: RunsOption = 3,
    peers: PeersOption = None,
    variants: Annotated[str | None, typer.Option(metavar="NAME,…", help="Ways of ours to measure, instead of all; see the output.")] = None,
    quick: QuickOption = False,
    summary: SummaryOption = None,
) -> None:
    """Transactions a second through both stages: with and without the online store, while a replay fills the topic, and of
    many keys.

    Beside them other programs on the same topic, such as a bare loop that only consumes, parses and produces.
    """
    from tests.benchmarks.measures import stream as bench
    from tests.benchmarks.peers.runner.peers import chosen

    source = _source(data, columns, amount_unit)
    spec = bench.Spec(source, transactions or (None if source else bench.Spec.transactions), partitions, runs, chosen(peers))
    if variants is not None:
        spec = replace(spec, variants=bench.chosen_variants(variants))
    figures = _figures(bench.run, spec, quick, summary)
    for name in spec.variants:
        typer.echo(f"{name.replace('_', ' ')}: {figures[name]['tx_per_s']:,.0f} tx/s")
    for peer in (figures.get("bare_loop"), *figures.get("peers", {}).values()):
        if peer is not None:
            typer.echo(f"{peer['title']}: " + (f"{peer['tx_per_s']:,.0f} tx/s" if peer["tx_per_s"] else "failed, see above"))


def latency(
    rates: Annotated[str, typer.Option(help="Transactions a second to offer, one rate after the other.")] = "1000,5000,20000",
    seconds: Annotated[int, typer.Option(min=1, help="How long each rate is measured.")] = 15,
    warm_up: Annotated[int, typer.Option(min=0, help="How long it is offered before.")] = 5,
    partitions: Annotated[str, typer.Option(metavar="N,…", help="Partitions of each topic, one number after the other.")] = "4,8",
    runs: RunsOption = 3,
    quick: QuickOption = False,
    summary: SummaryOption = None,
) -> None:
    """From the moment a transaction was due to be sent to the arrival of its committed decision, at fixed offered rates."""
    from tests.benchmarks.measures import latency as bench

    numbers = _whole_numbers("--partitions", partitions, "4,8")
    spec = bench.Spec(_whole_numbers("--rates", rates, "1000,5000,20000"), seconds, warm_up, partitions=numbers, runs=runs)
    figures = _figures(bench.run, spec, quick, summary)
    for setup, measured_there in figures["setups"].items():
        for rate, found in measured_there["rates"].items():
            typer.echo(f"{setup}, {int(rate):,} tx/s: p50 {found['p50_ms']:.0f}, p90 {found['p90_ms']:.0f}, p99 {found['p99_ms']:.0f} ms")


def endpoint(
    rates: Annotated[str, typer.Option(help="Requests a second to offer, one rate after the other.")] = "100,500",
    callers: Annotated[int, typer.Option(min=1, help="How many callers then ask as fast as they get answers.")] = 16,
    seconds: Annotated[int, typer.Option(min=1, help="How long each is measured.")] = 20,
    warm_up: Annotated[int, typer.Option(min=0, help="How long it is offered before.")] = 5,
    partitions: PartitionsOption = 4,
    runs: RunsOption = 3,
    quick: QuickOption = False,
    summary: SummaryOption = None,
) -> None:
    """What a caller of POST /v1/score waits: at fixed offered rates, and how many answers one process gives at most."""
    from tests.benchmarks.measures import endpoint as bench

    spec = bench.Spec(_whole_numbers("--rates", rates, "100,500"), callers, seconds, warm_up, partitions=partitions, runs=runs)
    figures = _figures(bench.run, spec, quick, summary)
    for rate, found in figures["rates"].items():
        typer.echo(f"{int(rate):,}/s: p50 {found['p50_ms']:.1f} ms, p90 {found['p90_ms']:.1f} ms, p99 {found['p99_ms']:.1f} ms")
    typer.echo(f"at most {figures['closed_loop']['answered_per_s']:,.0f} answers/s")


def scaling(
    data: DataOption = None,
    columns: ColumnsOption = None,
    amount_unit: AmountUnitOption = None,
    transactions: Annotated[int | None, typer.Option(min=1_000, help="How many; else all of the file, or 600,000 simulated.")] = None,
    runs: RunsOption = 3,
    quick: QuickOption = False,
    summary: SummaryOption = None,
) -> None:
    """Rate and CPU of a transaction by workers and partitions, with half of all at one key, and by the number of windows."""
    from tests.benchmarks.measures import scaling as bench

    source = _source(data, columns, amount_unit)
    spec = bench.Spec(source, transactions or (None if source else bench.Spec.transactions), runs=runs)
    _figures(bench.run, spec, quick, summary)


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
    from tests.benchmarks.measures import kernel as bench

    source = _source(data, columns, amount_unit)
    spec = bench.Spec(source, transactions or (None if source else bench.Spec.transactions), runs=runs)
    figures = _figures(bench.run, spec, quick, summary)
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
    from tests.benchmarks.measures import keys as bench

    spec = bench.Spec(_whole_numbers("--numbers", numbers, "10000,100000"))
    _figures(bench.run, spec, quick, summary)


def soak(
    rate: Annotated[int, typer.Option(min=1, help="Transactions a second to offer.")] = 10_000,
    minutes: Annotated[float, typer.Option(min=0.1, help="For how long.")] = 30.0,
    warm_up: Annotated[float, typer.Option(min=0, help="How many of these minutes don't count.")] = 10.0,
    partitions: PartitionsOption = 4,
    quick: QuickOption = False,
    summary: SummaryOption = None,
) -> None:
    """Whether memory stays as it is under a steady load that never repeats."""
    from tests.benchmarks.measures import soak as bench

    spec = bench.Spec(rate, minutes, warm_up, partitions)
    figures = _figures(bench.run, spec, quick, summary)
    for process, memory in figures["memory_bytes"].items():
        first, last, slope = (memory[figure] / 1e6 for figure in ("first", "last", "per_hour"))
        typer.echo(f"{process}: {first:,.0f} MB, then {last:,.0f} MB; {slope:+,.0f} MB an hour")


def backfill(
    transactions: Annotated[
        str, typer.Option(metavar="N,…", help="About how many the archive holds, one size after the other.")
    ] = "875000,1750000",
    compare: Annotated[bool, typer.Option("--compare", help="Compare all vectors with those of the finished history.")] = False,
    runs: RunsOption = 3,
    quick: QuickOption = False,
    summary: SummaryOption = None,
) -> None:
    """What `tidemark backfill` of half a year costs, Spark's start included; a tenth of the transactions is at one merchant."""
    from tests.benchmarks.measures import backfill as bench

    spec = bench.Spec(_whole_numbers("--transactions", transactions, "875000,1750000"), runs, compare)
    figures = _figures(bench.run, spec, quick, summary)
    for size in figures["sizes"].values():
        typer.echo(f"{size['transactions']:,} transactions: {size['seconds']:.1f} s, {size['cpu_seconds']:.1f} s of CPU")


def recovery(
    users: Annotated[str, typer.Option(metavar="N,…", help="How many users have states, one number after the other.")] = "100000,1000000",
    before: Annotated[int, typer.Option(min=1, help="Seconds of load before the kill.")] = 20,
    after: Annotated[int, typer.Option(min=1, help="Seconds of load after it.")] = 30,
    partitions: PartitionsOption = 4,
    runs: RunsOption = 3,
    quick: QuickOption = False,
    summary: SummaryOption = None,
) -> None:
    """How long after `kill -9` of a worker its successor decides, at 1,000 transactions a second."""
    from tests.benchmarks.measures import recovery as bench

    spec = bench.Spec(_whole_numbers("--users", users, "100000,1000000"), before=before, after=after, partitions=partitions, runs=runs)
    figures = _figures(bench.run, spec, quick, summary)
    for number, found in figures["users"].items():
        typer.echo(f"{int(number):,} users: {found['kill_to_first_decision_s']:.1f} s")


def _figures(
    run: Callable[[_AnySpec, Callable[[str], None]], dict[str, Any]], spec: _AnySpec, quick: bool, summary: Path | None
) -> dict[str, Any]:
    return measured(lambda: run(spec.quick() if quick else spec, typer.echo), summary)


def _source(data: Path | None, columns: str | None, amount_unit: str | None) -> "Source | None":
    from tests.benchmarks.load.workload import Source

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
