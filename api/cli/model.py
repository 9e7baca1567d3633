"""Commands for models: ``train`` makes one from a file, ``backtest`` lets one score a file, ``promote`` lets one serve."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.conventions import day_range, progress, write_summary
from features.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

ColumnsOption = Annotated[str, typer.Option(help="handbook, tidemark, or field=column,… and field=:value for a constant.")]
AmountUnitOption = Annotated[str | None, typer.Option(metavar="major|minor", help="Whether amounts read 12.50 or 1250.")]
LabelsAfterOption = Annotated[
    str | None,
    typer.Option(metavar="DURATION|none", help="How long after a fraud its label comes; 7d unless the file has no fraud column."),
]
FromOption = Annotated[str | None, typer.Option("--from", metavar="DATE", help="The first day, UTC; else the file's first.")]
ToOption = Annotated[str | None, typer.Option("--to", metavar="DATE", help="The day after the last, UTC; else the end of the file.")]
SummaryOption = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the summary here.")]
HistoryDaysOption = Annotated[
    str | None, typer.Option(metavar="DAYS,…", help="Learn from the newest of these days that does best, such as 7,28,90; else from all.")
]
CostOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE", help="What thresholds are chosen by: fraud_loss, margin (shares), chargeback_fee, goodwill, review."
    ),
]
CapacityOption = Annotated[float, typer.Option(help="The share of all transactions that can be reviewed.")]
AuthorOption = Annotated[str | None, typer.Option(help="Who answers for it; else the user of the machine.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    for command in (train, backtest, promote):
        app.command()(command)


def train(
    data: Annotated[Path, typer.Option(metavar="FILE", help="A CSV or Parquet file of transactions with a fraud column.")],
    columns: ColumnsOption,
    amount_unit: AmountUnitOption = None,
    begin: FromOption = None,
    end: ToOption = None,
    as_of: Annotated[
        str | None, typer.Option(metavar="DATE", help="Learn only what was known by then; else by the end of the file.")
    ] = None,
    features: Annotated[str, typer.Option(help="The feature set.")] = "fraud_v1",
    labels_after: LabelsAfterOption = None,
    seed: Annotated[int, typer.Option(help="The same seed and data give the same model.")] = 0,
    history_days: HistoryDaysOption = None,
    cost: CostOption = None,
    capacity: CapacityOption = 0.005,
    author: AuthorOption = None,
    summary: SummaryOption = None,
) -> None:
    """Train a model on a file's transactions and register it: as champion if there is none, else as a candidate.

    What happened before --from only warms the windows. Transactions whose label isn't known by --as-of are left out.
    """
    from api.settings import Settings
    from api.training.data import feature_set_of, moment, parse_costs, parse_histories, transactions
    from api.training.provenance import provenance
    from api.training.summary import training_summary
    from models.mlflow_pipeline import TrainingPlan, train_and_register

    started = time.monotonic()
    chosen = transactions(data, columns, amount_unit, begin, end, as_of, labels_after)
    plan = TrainingPlan(
        feature_set_of(features),
        chosen.begin,
        chosen.end,
        chosen.as_of,
        chosen.labels_after,
        seed,
        histories=parse_histories(history_days),
        costs=parse_costs(cost or []),
        capacity=capacity,
    )
    period = {"from": moment(plan.begin), "to": moment(plan.end), "as_of": moment(plan.as_of)}
    with progress("computing features", None) as advance:
        found, registered = train_and_register(
            chosen.table,
            plan,
            chosen.snapshot,
            provenance(author),
            Settings.resolve(require_services=False).mlflow,
            {"data": data.name, **period},
            advance,
        )
    rows = found.rows
    done = training_summary(found, registered, plan, round(time.monotonic() - started, 3))
    write_summary(summary, done)
    typer.echo(
        f"{registered.uri} is {registered.role}: {len(rows.is_fraud):,} transactions with {rows.frauds:,} frauds, {done['seconds']:.0f} s"
    )
    if rows.immature or rows.unlabelled:
        typer.echo(f"left out: {rows.immature:,} whose label was not known by {period['as_of']}, {rows.unlabelled:,} without a label")


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
    from api.training.data import moment, span
    from models import mlflow_registry
    from streams.backtest import Backtest
    from streams.columns import parse_mapping
    from streams.datafile import read_transactions, write_transactions

    started = time.monotonic()
    start_ms, end_ms = day_range(begin, end)
    mapping = parse_mapping(columns, amount_unit)
    table = read_transactions(file, mapping, labels_after)
    first, last = span(table, file)
    start_ms, end_ms = first if start_ms is None else start_ms, last + 1 if end_ms is None else end_ms
    if start_ms > last or end_ms <= first:
        raise UserError(
            f"{file.name} has no transaction in the range, its own are from {moment(first)} to {moment(last)}; mend --from or --to"
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


def promote(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version of the model, as tidemark train told it.")],
    despite_audit: Annotated[bool, typer.Option("--despite-audit", help="Even if its features failed their latest audit.")] = False,
) -> None:
    """Make a version the champion; workers and API follow within seconds. Refused if its features failed their latest tidemark audit."""
    from api.settings import Settings
    from models import mlflow_gate, mlflow_registry

    tracking_uri = Settings.resolve(require_services=False).mlflow
    if not despite_audit:
        mlflow_gate.require_passed(version, tracking_uri)
    mlflow_registry.promote(version, tracking_uri)
    typer.echo(f"models:/{mlflow_registry.MODEL_NAME}/{version} is champion")
