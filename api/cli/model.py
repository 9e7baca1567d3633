"""Commands for models: ``train`` makes one from a file, ``backtest`` lets one score a file, ``promote`` lets one serve."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.conventions import day_ms, day_range, progress, write_summary
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
    summary: SummaryOption = None,
) -> None:
    """Train a model on a file's transactions and register it: as champion if there is none, else as a candidate.

    What happened before --from only warms the windows. Transactions whose label isn't known by --as-of are left out.
    """
    from api.settings import Settings
    from features.definitions import FEATURE_SETS
    from models import mlflow_registry
    from models.training import train as fit
    from models.training_set import training_set
    from streams.columns import parse_mapping
    from streams.datafile import read_transactions
    from streams.label_delay import parse_labels_after

    started = time.monotonic()
    feature_set = FEATURE_SETS.get(features)
    if feature_set is None:
        raise UserError(f"--features {features} is no feature set; say one of {', '.join(FEATURE_SETS)}")
    start_ms, end_ms = day_range(begin, end)
    as_of_ms = None if as_of is None else day_ms("--as-of", as_of)
    mapping = parse_mapping(columns, amount_unit)
    if not mapping.labelled:
        raise UserError(f"--columns {columns} names no fraud column to learn from; add is_fraud=…")
    table = read_transactions(data, mapping, labels_after)
    first, last = _span(table, data)
    start_ms = first if start_ms is None else start_ms
    end_ms = last + 1 if end_ms is None else end_ms
    as_of_ms = last if as_of_ms is None else as_of_ms
    delay_ms = parse_labels_after(labels_after, mapping.labelled) or 0  # labels that are never sent are at least in the file
    with progress("computing features", None) as advance:
        rows = training_set(table, feature_set, start_ms, end_ms, as_of_ms, delay_ms, advance)
    trained = fit(rows, feature_set.names, seed=seed)
    counts = {"rows": len(rows.is_fraud), "frauds": rows.frauds, "label_unknown": rows.immature, "unlabelled": rows.unlabelled}
    period = {"from": _moment(start_ms), "to": _moment(end_ms), "as_of": _moment(as_of_ms)}
    tags = {"data": data.name, **period, **{name: str(count) for name, count in counts.items()}}
    registered = mlflow_registry.register(trained, feature_set, Settings.resolve(require_services=False).mlflow, tags)
    done = {
        "model": registered.uri,
        "version": registered.version,
        "role": registered.role,
        "run_id": registered.run_id,
        "feature_set": feature_set.name,
        **registered.digests.as_tags(),
        **period,
        **counts,
        **trained.metrics,
        "rounds": trained.parameters["rounds"],
        "seconds": round(time.monotonic() - started, 3),
    }
    write_summary(summary, done)
    typer.echo(
        f"{registered.uri} is {registered.role}: {counts['rows']:,} transactions with {counts['frauds']:,} frauds, {done['seconds']:.0f} s"
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
    from models import mlflow_registry
    from streams.backtest import Backtest
    from streams.columns import parse_mapping
    from streams.datafile import read_transactions, write_transactions

    started = time.monotonic()
    start_ms, end_ms = day_range(begin, end)
    mapping = parse_mapping(columns, amount_unit)
    table = read_transactions(file, mapping, labels_after)
    first, last = _span(table, file)
    start_ms, end_ms = first if start_ms is None else start_ms, last + 1 if end_ms is None else end_ms
    if start_ms > last or end_ms <= first:
        raise UserError(
            f"{file.name} has no transaction in the range, its own are from {_moment(first)} to {_moment(last)}; mend --from or --to"
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


def _span(table: "pa.Table", file: Path) -> tuple[int, int]:
    """First and last event time (ms)."""
    import pyarrow.compute as pc

    if not table.num_rows:
        raise UserError(f"{file.name} has no transactions; give a file that has some")
    span = pc.min_max(table["event_time"])
    return span["min"].as_py(), span["max"].as_py()


def _moment(milliseconds: int) -> str:
    """ISO 8601 in UTC, only the day where it is midnight."""
    from datetime import UTC, datetime

    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.date().isoformat() if milliseconds % 86_400_000 == 0 else moment.isoformat(timespec="seconds")
