"""``tidemark score-users``: the risk of every user as of a day."""

import time
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from api.cli.conventions import progress, write_summary
from api.cli.offline.user_history import ArchivedHistory, FileHistory
from api.cli.options import AmountUnitOption, MemoryOption, ModelUriOption, StoreOption, SummaryOption
from api.offline_store import offline_store
from api.settings import Settings
from features.errors import UserError
from features.history.columns import parse_mapping
from features.history.datafile import read_transactions
from features.history.moments import day_ms
from models.registry import mlflow_registry
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients
from streams.messages.topics import USER_RISK
from streams.replay.backtest import feature_set_of
from streams.user_risk.kafka_user_risk import publish
from streams.user_risk.parquet_table import UserRiskTable

_HOUR_MS = 3_600_000


def score_users(
    as_of: Annotated[
        str, typer.Option(metavar="DATE|now", help="What was known as this day began, UTC, or is known now; the partition is that day's.")
    ] = "now",
    store: StoreOption = None,
    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read the history from this CSV or Parquet file instead of the archive.")
    ] = None,
    columns: Annotated[
        str, typer.Option(help="Of --data: handbook, tidemark, or field=column,… and field=:value for a constant.")
    ] = "tidemark",
    amount_unit: AmountUnitOption = None,
    labels_after: Annotated[
        str | None, typer.Option(metavar="DURATION|none", help="How long after a fraud of --data its label comes; 7d.")
    ] = None,
    model: ModelUriOption = "models:/tidemark@champion",
    engine: Annotated[str, typer.Option(metavar="auto|local|spark", help="auto: Spark from 3 million archived records on.")] = "auto",
    memory: MemoryOption = "2g",
    max_lag: Annotated[
        float | None, typer.Option(min=0, metavar="HOURS", help="Refuse if the newest transaction known is older than this as of then.")
    ] = None,
    topic: Annotated[bool, typer.Option("--topic", help="Publish to the topic user-risk too, unless a newer day is there.")] = False,
    summary: SummaryOption = None,
) -> None:
    """Judge every user by the latest payments, as if they were made again when the day begins, with what is known by then.

    A user's risk is the highest probability that the champion gives one of the payments of the last 14 days, or the last one before.
    The result is one day's partition of the table user-risk in the offline store; run again, it replaces that day's only, at once.
    """
    started = time.monotonic()
    moment = time.time_ns() // 1_000_000 if as_of == "now" else day_ms("--as-of", as_of)
    day = datetime.fromtimestamp(moment / 1000, UTC).date()
    if engine not in ("auto", "local", "spark"):
        raise UserError(f"--engine {engine} is not an engine; use auto, local or spark")
    settings = Settings.resolve(require_services=False)
    place = offline_store(settings.home, store)
    scorer = mlflow_registry.load(model, settings.mlflow)
    kafka = settings.require_kafka() if topic else None
    if kafka is not None:
        partition_count(kafka, USER_RISK.name)
    if data is None:
        history: FileHistory | ArchivedHistory = ArchivedHistory.choose(place, engine, moment, memory, settings.home / "logs")
    elif engine == "spark":
        raise UserError("--engine spark reads the archive; leave out --data, or use --engine local")
    else:
        history = FileHistory(data.name, read_transactions(data, parse_mapping(columns, amount_unit), labels_after))
    newest = history.newest(moment)
    if newest is None:
        raise UserError(f"{history.name} has no transaction before {_text_of(moment)}; change --as-of")
    if max_lag is not None and moment - newest > max_lag * _HOUR_MS:
        raise UserError(
            f"the newest transaction of {history.name} before {_text_of(moment)} is of {_text_of(newest)}, more than --max-lag {max_lag:g} "
            "h before; run `tidemark archive`, or give a longer one if nothing happened since"
        )
    table = UserRiskTable(place)
    files = history.write(feature_set_of(scorer), scorer, moment, table, day)
    table.commit(day, files)
    levels: Counter[str] = Counter()
    for batch in table.batches(day):
        levels.update(batch["risk_level"].to_pylist())
    published = None if kafka is None else _publish(table, day, kafka)
    seconds = time.monotonic() - started
    users = sum(levels.values())
    write_summary(
        summary,
        {
            "day": day.isoformat(),
            "as_of": _text_of(moment),
            "newest_transaction": _text_of(newest),
            "users": users,
            "risk_levels": {level: levels[level] for level in ("normal", "elevated", "highest")},
            "engine": history.engine,
            "table": table.storage.url,
            "published": published,
            "model": f"models:/{scorer.model_name}/{scorer.model_version}",
            "model_digest": scorer.model_digest,
            "policy_digest": scorer.policy.digest,
            "features_digest": scorer.features_digest,
            "seconds": round(seconds, 3),
        },
    )
    said = "" if not topic else f", {published:,} published" if published is not None else ", none published, for a newer day is there"
    flagged = f"{levels['elevated']:,} elevated, {levels['highest']:,} of the highest risk"
    typer.echo(f"{users:,} users as of {_text_of(moment)}, {flagged}{said}, in {seconds:.1f} s, in {table.storage.url}/date={day}")


def _publish(table: UserRiskTable, day: date, kafka: KafkaClients) -> int | None:
    """How many risks were published; None if a newer day is there, which readers of the topic know already."""
    newest = table.newest_day()
    if newest is not None and newest > day:
        return None
    with progress("publishing", None) as advance:
        return publish(table.batches(day), kafka, advance)


def _text_of(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
