"""Commands that bring data in: ``simulate`` makes transactions, ``replay`` sends those of a file."""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.conventions import INTERRUPTED, progress, until_interrupted, write_summary
from features.errors import UserError
from features.history.moments import day_ms, day_range

if TYPE_CHECKING:
    import pyarrow as pa

    from streams.kafka.client import KafkaClients
    from streams.replay.kafka_replay import ReplaySummary
    from streams.replay.pacing import Rate
    from streams.replay.plan import ReplayPlan

    Send = Callable[[Callable[[int], None], Callable[[], bool]], ReplaySummary]

_DEFAULT_DAYS = 90

RateOption = Annotated[str, typer.Option(help="max, records a second such as 5000, or realtime×60: event time at 60 times its speed.")]
LabelsAfterOption = Annotated[
    str | None, typer.Option(metavar="DURATION|none", help="How long after a fraud its label comes; 7d if frauds are known.")
]
SummaryOption = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the summary here.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    for command in (simulate, replay):
        app.command()(command)


def simulate(
    out: Annotated[Path | None, typer.Option(metavar="FILE.parquet", help="Write a Parquet file, for --columns tidemark.")] = None,
    topic: Annotated[bool, typer.Option("--topic", help="Send to the topic instead, labels too.")] = False,
    seed: Annotated[int, typer.Option(help="The same seed gives the same transactions.")] = 0,
    users: Annotated[int, typer.Option(help="How many users there are; each pays twice a day on average.")] = 5_000,
    merchants: Annotated[int, typer.Option(help="How many merchants there are.")] = 10_000,
    begin: Annotated[str, typer.Option("--from", metavar="DATE", help="The first day.")] = "2025-01-01",
    end: Annotated[str | None, typer.Option("--to", metavar="DATE", help="The day after the last.")] = None,
    days: Annotated[int | None, typer.Option(help=f"How many days, instead of --to; {_DEFAULT_DAYS} if neither is given.")] = None,
    drift_at: Annotated[str | None, typer.Option(metavar="DATE", help="From this day on users and thieves behave otherwise.")] = None,
    takeovers: Annotated[float, typer.Option(help="Accounts taken over each day among 5,000 users.")] = 0.5,
    rate: RateOption = "max",
    labels_after: LabelsAfterOption = None,
    summary: SummaryOption = None,
) -> None:
    """Make up transactions with known frauds, to a file or straight onto the topic."""
    from features.history.datafile import write_transactions
    from features.history.label_delay import parse_labels_after, with_label_times
    from streams.replay.pacing import parse_rate
    from streams.replay.plan import plan_replay
    from streams.simulate import SIMULATED, SimulationSpec, simulate_chunks
    from streams.simulate import simulate as simulate_table
    from streams.simulate.spec import DAY_MS

    if (out is None) == (not topic):
        raise UserError("say where the transactions go: either --out FILE.parquet or --topic")
    if out is not None and (rate != "max" or labels_after is not None):
        raise UserError("--rate and --labels-after are for --topic; a file holds no labels, they are made when it is replayed")
    if end is not None and days is not None:
        raise UserError("--to and --days contradict each other; say one of them")
    pace = parse_rate(rate)
    start_ms = day_ms("--from", begin)
    _, end_ms = day_range(begin, end)
    days = (end_ms - start_ms) // DAY_MS if end_ms is not None else _DEFAULT_DAYS if days is None else days
    drift_at_ms = None if drift_at is None else day_ms("--drift-at", drift_at)
    spec = SimulationSpec(seed, users, merchants, start_ms, days, drift_at_ms, takeovers)
    if out is None:
        kafka = _kafka()
        table = with_label_times(simulate_table(spec), parse_labels_after(labels_after, labelled=True))
        _send(table, plan_replay(table, end_ms=start_ms + days * DAY_MS), kafka, pace, "simulating", summary)
        return
    started = time.monotonic()
    with progress("simulating", total=None) as advance:

        def counted(chunk: "pa.Table") -> "pa.Table":
            advance(chunk.num_rows)
            return chunk

        rows = write_transactions(out, map(counted, simulate_chunks(spec)), SIMULATED)
    seconds = time.monotonic() - started
    write_summary(summary, {"transactions": rows, "seconds": round(seconds, 3), "rate": round(rows / seconds, 1), "file": str(out)})
    typer.echo(f"{rows:,} transactions in {seconds:.1f} s, {rows / seconds:,.0f}/s, in {out}")


def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV or Parquet file of transactions.")],
    columns: Annotated[str, typer.Option(help="handbook, tidemark, or field=column,… and field=:value for a constant.")],
    amount_unit: Annotated[str | None, typer.Option(metavar="major|minor", help="Whether amounts read 12.50 or 1250.")] = None,
    begin: Annotated[str | None, typer.Option("--from", metavar="DATE", help="The first day, UTC.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="DATE", help="The day after the last, UTC.")] = None,
    rate: RateOption = "max",
    labels_after: LabelsAfterOption = None,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="Run INGEST too, in event-time order over all partitions, for workers that don't.")
    ] = False,
    features: Annotated[str, typer.Option(help="The feature set that INGEST computes, if --aligned.")] = "fraud_v1",
    currency: Annotated[str, typer.Option(help="The deployment's settlement currency, ISO 4217, if --aligned.")] = "EUR",
    summary: SummaryOption = None,
) -> None:
    """Send a file's transactions, in order and with their labels in place, onto the topic.

    Either every row can be used or nothing is sent. Labels that fall into the range are sent, also those of earlier transactions.

    Over several partitions full speed disturbs the order in which merchants meet their customers. With --aligned it doesn't: decisions are
    those of `tidemark backtest`, while workers run with --stages labels,score. Given again, an interrupted one goes on.
    """
    from features.history.columns import parse_mapping
    from features.history.datafile import read_transactions
    from streams.replay.pacing import parse_rate
    from streams.replay.plan import plan_replay

    pace = parse_rate(rate)
    start_ms, end_ms = day_range(begin, end)
    table = read_transactions(file, parse_mapping(columns, amount_unit), labels_after)
    plan = plan_replay(table, start_ms, end_ms)
    if not len(plan):
        raise UserError(
            f"{file.name} has no transaction and no label {_between(begin, end)}, its {table.num_rows:,} rows lie elsewhere; "
            "mend --from or --to"
        )
    title = f"replaying {file.name}"
    if not aligned:
        _send(table, plan, _kafka(), pace, title, summary)
        return
    from api.settings import Settings
    from streams.replay.aligned.kafka_replay import name_of, replay_aligned
    from streams.workers.logs import log_to_stderr

    log_to_stderr(logging.INFO)
    config = Settings.resolve(require_services=True).stream_config(features, currency)
    name = name_of(file, columns, amount_unit, begin, end, labels_after)
    _tell(lambda advance, stopped: replay_aligned(table, plan, name, config, pace, advance, stopped), title, len(plan), summary)


def _kafka() -> "KafkaClients":
    from api.settings import Settings

    return Settings.resolve(require_services=False).require_kafka()


def _send(table: "pa.Table", plan: "ReplayPlan", kafka: "KafkaClients", rate: "Rate", title: str, summary: Path | None) -> None:
    from streams.replay.kafka_replay import replay as send

    _tell(lambda advance, stopped: send(table, plan, kafka, rate, advance, stopped), title, len(plan), summary)


def _tell(send: "Send", title: str, records: int, summary: Path | None) -> None:
    """Replay, tell what was done, and exit with 130 if Ctrl-C ended it, 1 if a delivery failed."""
    with until_interrupted() as stopped, progress(title, records) as advance:
        done = send(advance, stopped)
    write_summary(summary, asdict(done))
    typer.echo(f"{done.transactions:,} transactions and {done.labels:,} labels in {done.seconds:.1f} s, {done.rate:,.0f}/s")
    if done.failed:
        typer.echo(
            f"error: {done.failed:,} records were not delivered ({done.first_failure}), {done.unsent:,} not sent; see `tidemark doctor`",
            err=True,
        )
        raise typer.Exit(1)
    if done.unsent:
        typer.echo(f"interrupted: {done.unsent:,} records were not sent", err=True)
        raise typer.Exit(INTERRUPTED)


def _between(begin: str | None, end: str | None) -> str:
    bounds = [f"from {begin}" if begin else "", f"before {end}" if end else ""]
    return " ".join(bound for bound in bounds if bound) or "at all"
