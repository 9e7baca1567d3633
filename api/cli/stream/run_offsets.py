"""``tidemark offsets``: where the stages stand in their logs, and back to there."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import typer

from api.settings import Settings
from features.errors import UserError
from streams.delivery.kafka_offsets import StageOffset, StageOffsets
from streams.kafka.client import KafkaException

_COLUMNS = ("group", "partition", "begin", "offset", "end", "set by")


def run_show() -> None:
    """As ``tidemark offsets show`` promises."""
    with _offsets() as offsets:
        found = offsets.all()
    rows = [_COLUMNS, *map(_row, found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if not all(offset.is_ours for offset in found):
        raise typer.Exit(1)


def run_restore() -> None:
    """As ``tidemark offsets restore`` promises."""
    lines: list[str] = []
    with _offsets() as offsets:
        offsets.restore(lambda line: lines.append(line) or typer.echo(line))  # type: ignore[func-returns-value]
    if not lines:
        typer.echo("all offsets are where the stages have set them, and nothing is missing")


@contextmanager
def _offsets() -> Iterator[StageOffsets]:
    config = Settings.resolve(require_services=True).agreed_config()
    try:
        with closing(StageOffsets(config)) as offsets:
            yield offsets
    except KafkaException as error:
        raise UserError(f"Kafka at {config.kafka} failed ({error.args[0].str()}); see `tidemark doctor`, then try again") from error


def _row(found: StageOffset) -> tuple[str, ...]:
    who = "nobody yet" if found.offset is None else "tidemark" if found.is_ours else "another tool"
    offset = "-" if found.offset is None else str(found.offset)
    return found.group, f"{found.topic}[{found.partition}]", str(found.begin), offset, str(found.end), who
