"""``tidemark replay``: sends a file's transactions."""

import logging
from pathlib import Path

import typer

from api.cli.data.sending import Target, report, send
from api.cli.options import FileOptions
from api.deployment import settlement_currency
from api.settings import Settings
from features.errors import UserError
from features.history.columns import parse_mapping
from features.history.datafile import read_transactions
from features.history.moments import day_range
from streams.replay.aligned.kafka_marks import abandon
from streams.replay.aligned.kafka_replay import name_of, replay_aligned
from streams.replay.pacing import parse_rate
from streams.replay.plan import plan_replay
from streams.workers.logs import log_to_stderr


def run(file: Path, options: FileOptions, rate: str, aligned: bool, summary: Path | None) -> None:
    """As ``tidemark replay`` promises."""
    pace = parse_rate(rate)
    start_ms, end_ms = day_range(options.begin, options.end)
    mapping = parse_mapping(options.columns, options.amount_unit)
    table = read_transactions(file, mapping, options.labels_after, settlement_currency())
    plan = plan_replay(table, start_ms, end_ms)
    if not len(plan):
        raise UserError(
            f"{file.name} has no transaction and no label {_between(options.begin, options.end)}, all of its {table.num_rows:,} rows lie "
            "outside; change --from or --to"
        )
    title = f"replaying {file.name}"
    if not aligned:
        send(table, plan, Target.known(), pace, title, summary)
        return

    log_to_stderr(logging.INFO)
    config = Settings.resolve(require_services=True).agreed_config()
    name = name_of(file, options.columns, options.amount_unit, options.begin, options.end, options.labels_after)
    report(lambda advance, stopped: replay_aligned(table, plan, name, config, pace, advance, stopped), title, len(plan), summary)


def give_up(name: str) -> None:
    """As ``tidemark replay --abandon`` promises."""
    config = Settings.resolve(require_services=True).agreed_config()
    sent = abandon(config, name)
    typer.echo(f"aligned replay {name} is abandoned; workers take what was sent of it, at most {sent:,} records, where it stands")


def _between(begin: str | None, end: str | None) -> str:
    bounds = [f"from {begin}" if begin else "", f"before {end}" if end else ""]
    return " ".join(bound for bound in bounds if bound) or "at all"
