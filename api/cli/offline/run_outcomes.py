"""``tidemark outcomes``: what has become of each decision, as a table."""

import time
from collections.abc import Mapping
from datetime import date

import numpy as np
import typer

from api.cli.conventions import progress, write_summary
from api.cli.offline.options import OutcomesOptions
from api.deployment import Facts
from api.offline_store import archive_store
from features.definitions import DAY
from features.errors import UserError
from features.history.label_delay import parse_labels_after
from features.history.moments import day_ms, day_range, moment
from infra.local import services
from models.training_set.label_maturity import FEWEST, DelaysBySource
from streams.archive.served.parquet_outcomes import OutcomesTable, newest_decision, update


def run(options: OutcomesOptions) -> None:
    """As ``tidemark outcomes`` promises."""
    started = time.monotonic()
    delay = parse_labels_after(options.labels_after, labelled=True)
    if delay is None:
        raise UserError("--labels-after none leaves every decision immature; give how long labels take, such as 7d")
    day_range(options.begin, options.end)
    begin, end = (None if text is None else date.fromisoformat(text) for text in (options.begin, options.end))
    as_of = None if options.as_of is None else day_ms("--as-of", options.as_of)
    home = services.home_from_environment()
    store, currency = archive_store(home, options.store), Facts.resolve(home).currency
    newest = newest_decision(store)
    if newest is None:
        raise UserError(f"no decision is archived at {store.url}; run `tidemark archive --once`")
    store.require_writable()
    as_of = newest if as_of is None else as_of
    with progress("days", None) as advance:
        done = update(store, begin, end, as_of, delay, advance, currency)
    table, seconds = OutcomesTable(store), time.monotonic() - started
    counts = table.counts()
    write_summary(
        options.summary,
        {
            "table": table.storage.url,
            "as_of": moment(as_of),
            "labels_after_ms": delay,
            "days": done.days,
            "written": [day.isoformat() for day in done.written],
            "removed": [day.isoformat() for day in done.removed],
            "outcomes": dict(counts),
            "labels_take": _labels_take(done.delays),
            "seconds": round(seconds, 3),
        },
    )
    typer.echo(f"{len(done.written)} of {done.days} days written in {seconds:.1f} s, in {table.storage.url}, as known by {moment(as_of)}")
    typer.echo(f"{sum(counts.values()):,} decisions: " + ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(counts.items())))


def _labels_take(delays: DelaysBySource) -> Mapping[str, Mapping[str, object]]:
    """By source: of how many matured frauds, how many days half and nine tenths of them took, and whether the source has too few of its own
    to go by."""
    return {
        source: {
            "frauds": len(took),
            "median_days": round(float(np.median(took)) / DAY, 3),
            "p90_days": round(float(np.quantile(took, 0.9)) / DAY, 3),
            "too_few": len(took) < FEWEST,
        }
        for source, took in delays.by_source.items()
    }
