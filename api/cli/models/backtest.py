"""Commands for models: ``train`` and ``retrain`` make one, ``backtest`` lets one score a file, ``promote`` lets one serve."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.conventions import progress, write_summary
from api.cli.models.model_options import AmountUnitOption, ColumnsOption, FromOption, LabelsAfterOption, SummaryOption, ToOption
from api.cli.models.promotion import promote
from api.cli.models.training import retrain, train
from features.errors import UserError
from features.history.moments import day_range

if TYPE_CHECKING:
    import pyarrow as pa


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    for command in (train, retrain, backtest, promote):
        app.command()(command)


def backtest(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV or Parquet file of transactions.")],
    columns: ColumnsOption,
    scores: Annotated[Path, typer.Option(metavar="OUT.parquet", help="Where the scores and features of each transaction go.")],
    amount_unit: AmountUnitOption = None,
    begin: FromOption = None,
    end: ToOption = None,
    model: Annotated[
        str, typer.Option(metavar="URI", help="models:/tidemark/3, runs:/<run id> or a model's folder.")
    ] = "models:/tidemark@champion",
    history: Annotated[
        bool, typer.Option("--history/--no-history", help="Let what came before --from warm the windows, or start from nothing.")
    ] = True,
    labels_after: LabelsAfterOption = None,
    summary: SummaryOption = None,
) -> None:
    """Score a file's transactions as the stream would have, without Kafka.

    The scores stand in replay order: time, then file order; labels count from when they were known. With --no-history they are those
    of a replay of the same range onto empty topics.
    """
    from api.settings import Settings
    from features.history.columns import parse_mapping
    from features.history.datafile import read_transactions, write_transactions
    from features.history.moments import moment, span
    from models.registry import mlflow_registry
    from streams.replay.backtest import Backtest

    started = time.monotonic()
    start_ms, end_ms = day_range(begin, end)
    mapping = parse_mapping(columns, amount_unit)
    table = read_transactions(file, mapping, labels_after)
    first, last = span(table, file)
    start_ms, end_ms = first if start_ms is None else start_ms, last + 1 if end_ms is None else end_ms
    if start_ms > last or end_ms <= first:
        raise UserError(
            f"{file.name} has no transaction in the range, its own are from {moment(first)} to {moment(last)}; change --from or --to"
        )
    scorer = mlflow_registry.load(model, Settings.resolve(require_services=False).mlflow)
    test = Backtest(table, scorer, start_ms, end_ms, history)
    decisions: Counter[str] = Counter()
    log = test.log

    with progress("scoring", len(log.order)) as advance:

        def counted() -> Iterator["pa.Table"]:
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
