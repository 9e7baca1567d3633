"""``tidemark backtest``: a model scores a file."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import typer

from api.cli.conventions import progress, write_summary
from api.cli.option_sets import with_option_sets
from api.cli.options import FileOptions, ModelUriOption, SummaryOption
from api.settings import Settings
from features.errors import UserError
from features.history.columns import parse_mapping
from features.history.datafile import read_transactions, write_transactions
from features.history.moments import day_range, moment, span
from models.registry import mlflow_registry
from streams.replay.backtest import Backtest


@with_option_sets
def backtest(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV or Parquet file of transactions.")],
    options: FileOptions,
    scores: Annotated[Path, typer.Option(metavar="OUT.parquet", help="Where the scores and features of each transaction go.")],
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
    started = time.monotonic()
    start_ms, end_ms = day_range(options.begin, options.end)
    mapping = parse_mapping(options.columns, options.amount_unit)
    table = read_transactions(file, mapping, options.labels_after)
    first, last = span(table, file)
    start_ms, end_ms = first if start_ms is None else start_ms, last + 1 if end_ms is None else end_ms
    if start_ms > last or end_ms <= first:
        raise UserError(
            f"{file.name} has no transaction in the range, all are from {moment(first)} to {moment(last)}; change --from or --to"
        )
    scorer = mlflow_registry.load(model, Settings.resolve(require_services=False).mlflow)
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
    typer.echo(f"{rows:,} transactions, {flagged}, by version {scorer.model_version}, in {seconds:.1f} s, in {scores}")
