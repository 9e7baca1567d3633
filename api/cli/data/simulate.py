"""``tidemark simulate``: makes up transactions."""

import time
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import typer

from api.cli.conventions import progress, write_summary
from api.cli.data.sending import known_kafka, send
from api.cli.options import LabelsAfterOption, RateOption, SummaryOption
from features.errors import UserError
from features.history.datafile import write_transactions
from features.history.label_delay import parse_labels_after, with_label_times
from features.history.moments import day_ms, day_range
from streams.replay.pacing import parse_rate
from streams.replay.plan import plan_replay
from streams.simulate import SIMULATED, SimulationSpec, simulate_chunks
from streams.simulate import simulate as simulate_table
from streams.simulate.spec import DAY_MS

_DEFAULT_DAYS = 90


def simulate(
    out: Annotated[Path | None, typer.Option(metavar="FILE.parquet", help="Write a Parquet file, for --columns tidemark.")] = None,
    topic: Annotated[bool, typer.Option("--topic", help="Send to the topic instead, labels too.")] = False,
    seed: Annotated[int, typer.Option(help="The same seed gives the same transactions.")] = 0,
    users: Annotated[int, typer.Option(help="How many users there are; each pays twice a day on average.")] = 5_000,
    merchants: Annotated[int, typer.Option(help="How many merchants there are.")] = 10_000,
    begin: Annotated[str, typer.Option("--from", metavar="DATE", help="The first day.")] = "2025-01-01",
    end: Annotated[str | None, typer.Option("--to", metavar="DATE", help="The day after the last.")] = None,
    days: Annotated[int | None, typer.Option(help=f"How many days, instead of --to; {_DEFAULT_DAYS} if neither is given.")] = None,
    drift_at: Annotated[str | None, typer.Option(metavar="DATE", help="From this day on users and thieves behave differently.")] = None,
    takeovers: Annotated[float, typer.Option(help="Accounts taken over each day among 5,000 users.")] = 0.5,
    rate: RateOption = "max",
    labels_after: LabelsAfterOption = None,
    summary: SummaryOption = None,
) -> None:
    """Make up transactions with known frauds, to a file or straight onto the topic."""
    if (out is None) == (not topic):
        raise UserError("use either --out FILE.parquet or --topic, so that the transactions have somewhere to go")
    if out is not None and (rate != "max" or labels_after is not None):
        raise UserError("--rate and --labels-after are for --topic; a file holds no labels, they are made when it is replayed")
    if end is not None and days is not None:
        raise UserError("--to and --days contradict each other; use one of them")
    pace = parse_rate(rate)
    start_ms = day_ms("--from", begin)
    _, end_ms = day_range(begin, end)
    days = (end_ms - start_ms) // DAY_MS if end_ms is not None else _DEFAULT_DAYS if days is None else days
    drift_at_ms = None if drift_at is None else day_ms("--drift-at", drift_at)
    spec = SimulationSpec(seed, users, merchants, start_ms, days, drift_at_ms, takeovers)
    if out is None:
        kafka = known_kafka()
        table = with_label_times(simulate_table(spec), parse_labels_after(labels_after, labelled=True))
        send(table, plan_replay(table, end_ms=start_ms + days * DAY_MS), kafka, pace, "simulating", summary)
        return
    started = time.monotonic()
    with progress("simulating", total=None) as advance:

        def counted(chunk: pa.Table) -> pa.Table:
            advance(chunk.num_rows)
            return chunk

        rows = write_transactions(out, map(counted, simulate_chunks(spec)), SIMULATED)
    seconds = time.monotonic() - started
    write_summary(summary, {"transactions": rows, "seconds": round(seconds, 3), "rate": round(rows / seconds, 1), "file": str(out)})
    typer.echo(f"{rows:,} transactions in {seconds:.1f} s, {rows / seconds:,.0f}/s, in {out}")
