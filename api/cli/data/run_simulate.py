"""``tidemark simulate``: makes up transactions."""

import time

import pyarrow as pa
import typer

from api.cli.conventions import progress, write_summary
from api.cli.data.options import DEFAULT_DAYS, SimulateOptions
from api.cli.data.sending import Target, send
from features.errors import UserError
from features.history.datafile import write_transactions
from features.history.label_delay import parse_labels_after, with_label_times
from features.history.moments import day_ms, day_range
from streams.replay.pacing import parse_rate
from streams.replay.plan import plan_replay
from streams.simulate import SIMULATED, SimulationSpec, simulate_chunks
from streams.simulate import simulate as simulate_table
from streams.simulate.spec import DAY_MS


def run(options: SimulateOptions) -> None:
    """As ``tidemark simulate`` promises."""
    days = options.days
    if (options.out is None) == (not options.topic):
        raise UserError("use either --out FILE.parquet or --topic, so that the transactions have somewhere to go")
    if options.out is not None and (options.rate != "max" or options.labels_after is not None):
        raise UserError("--rate and --labels-after are for --topic; a file holds no labels, they are made when it is replayed")
    if options.end is not None and days is not None:
        raise UserError("--to and --days contradict each other; use one of them")
    pace = parse_rate(options.rate)
    start_ms = day_ms("--from", options.begin)
    _, end_ms = day_range(options.begin, options.end)
    days = (end_ms - start_ms) // DAY_MS if end_ms is not None else DEFAULT_DAYS if days is None else days
    drift_at_ms = None if options.drift_at is None else day_ms("--drift-at", options.drift_at)
    spec = SimulationSpec(options.seed, options.users, options.merchants, start_ms, days, drift_at_ms, options.takeovers)
    if options.out is None:
        target = Target.known()
        table = with_label_times(simulate_table(spec), parse_labels_after(options.labels_after, labelled=True))
        send(table, plan_replay(table, end_ms=start_ms + days * DAY_MS), target, pace, "simulating", options.summary)
        return
    started = time.monotonic()
    with progress("simulating, days", days) as advance:
        done = 0

        def counted(chunk: pa.Table) -> pa.Table:
            nonlocal done
            reached = done if not len(chunk) else (chunk["event_time"][-1].as_py() - start_ms) // DAY_MS + 1
            advance(reached - done)
            done = reached
            return chunk

        rows = write_transactions(options.out, map(counted, simulate_chunks(spec)), SIMULATED)
        if done < days:  # nothing happened on the last ones
            advance(days - done)
    seconds = time.monotonic() - started
    write_summary(
        options.summary, {"transactions": rows, "seconds": round(seconds, 3), "rate": round(rows / seconds, 1), "file": str(options.out)}
    )
    typer.echo(f"{rows:,} transactions in {seconds:.1f} s, {rows / seconds:,.0f}/s, in {options.out}")
