"""``tidemark score-users``: the risk of every user as of a day."""

import time
from collections import Counter
from datetime import UTC, date, datetime

import typer

from api.cli.conventions import progress, write_summary
from api.cli.offline.options import ScoreUsersOptions
from api.cli.offline.user_history import ArchivedHistory, FileHistory
from api.offline_store import archive_store, offline_store
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
from streams.replay.repeats import each_once, left_out
from streams.user_risk.kafka_user_risk import publish
from streams.user_risk.parquet_table import UserRiskTable

_HOUR_MS = 3_600_000


def run(options: ScoreUsersOptions) -> None:
    """As ``tidemark score_users`` promises."""
    started = time.monotonic()
    moment = time.time_ns() // 1_000_000 if options.as_of == "now" else day_ms("--as-of", options.as_of)
    day = datetime.fromtimestamp(moment / 1000, UTC).date()
    if options.engine not in ("auto", "local", "spark"):
        raise UserError(f"--engine {options.engine} is not an engine; use auto, local or spark")
    settings = Settings.resolve(require_services=False)
    place = (archive_store if options.data is None else offline_store)(settings.home, options.store)
    place.require_writable()
    scorer = mlflow_registry.load(options.model, settings.registry())
    kafka = settings.agreed_kafka() if options.topic else None
    if kafka is not None:
        partition_count(kafka, USER_RISK.name)
    if options.data is None:
        history: FileHistory | ArchivedHistory = ArchivedHistory.choose(
            place, options.engine, moment, options.memory, settings.home / "logs"
        )
    elif options.engine == "spark":
        raise UserError("--engine spark reads the archive; leave out --data, or use --engine local")
    else:
        mapping = parse_mapping(options.columns, options.amount_unit)
        once = each_once(read_transactions(options.data, mapping, options.labels_after, settings.facts.currency))
        if once.duplicates or once.conflicts:
            typer.echo(left_out(once.duplicates, once.conflicts))
        history = FileHistory(options.data.name, once.table)
    newest = history.newest(moment)
    if newest is None:
        raise UserError(f"{history.name} has no transaction before {_text_of(moment)}; change --as-of")
    if options.max_lag is not None and moment - newest > options.max_lag * _HOUR_MS:
        raise UserError(
            f"the newest transaction of {history.name} before {_text_of(moment)} is of {_text_of(newest)}, more than --max-lag "
            f"{options.max_lag:g} h before; run `tidemark archive`, or give a longer one if nothing happened since"
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
        options.summary,
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
    said = (
        "" if not options.topic else f", {published:,} published" if published is not None else ", none published, for a newer day is there"
    )
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
