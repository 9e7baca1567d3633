"""``tidemark backtest``: a model scores a file."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import typer

from api.cli.conventions import progress, write_summary
from api.cli.options import FileOptions
from api.deployment import settlement_currency
from api.settings import Settings
from features.errors import UserError
from features.history.columns import parse_mapping
from features.history.datafile import read_transactions, write_transactions
from features.history.moments import day_range, moment, span
from models.registry import mlflow_registry
from streams.replay.backtest import Backtest
from streams.replay.repeats import each_once, left_out


def run(file: Path, options: FileOptions, scores: Path, model: str, history: bool, summary: Path | None) -> None:
    """As ``tidemark backtest`` promises."""
    started = time.monotonic()
    start_ms, end_ms = day_range(options.begin, options.end)
    mapping = parse_mapping(options.columns, options.amount_unit)
    once = each_once(read_transactions(file, mapping, options.labels_after, settlement_currency()))
    table = once.table
    first, last = span(table, file)
    start_ms, end_ms = first if start_ms is None else start_ms, last + 1 if end_ms is None else end_ms
    if start_ms > last or end_ms <= first:
        raise UserError(
            f"{file.name} has no transaction in the range, all are from {moment(first)} to {moment(last)}; change --from or --to"
        )
    scorer = mlflow_registry.load(model, Settings.resolve(require_services=False).registry())
    test = Backtest(table, scorer, start_ms, end_ms, history)
    decisions: Counter[str] = Counter()
    log = test.log

    with progress("scoring", len(log.order)) as advance:

        def counted() -> Iterator[pa.Table]:
            for taken, chunk in test.scores(log):
                decisions.update(chunk["decision"].to_pylist())
                advance(taken)
                yield chunk

        rows = write_transactions(scores, counted(), test.schema)
    seconds = time.monotonic() - started
    done = {
        "transactions": rows,
        "duplicates": once.duplicates,
        "conflicts": once.conflicts,
        "decisions": {verdict: decisions[verdict] for verdict in ("approve", "review", "block")},
        "model": f"models:/{scorer.model_name}/{scorer.model_version}",
        "model_digest": scorer.model_digest,
        "policy_digest": scorer.policy.digest,
        "features_digest": scorer.features_digest,
        "scores": str(scores),
        "seconds": round(seconds, 3),
    }
    write_summary(summary, done)
    flagged = f"{decisions['review']:,} to review, {decisions['block']:,} to block"
    if once.duplicates or once.conflicts:
        typer.echo(left_out(once.duplicates, once.conflicts))
    typer.echo(f"{rows:,} transactions, {flagged}, by version {scorer.model_version}, in {seconds:.1f} s, in {scores}")
