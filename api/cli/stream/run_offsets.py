"""``tidemark offsets``: where the stages stand in their logs, and back to there."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import typer

from api.cli.kafka_failures import kafka_failures_in_words
from api.settings import Settings
from streams.delivery.kafka_offsets import StageOffset, StageOffsets

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
    with kafka_failures_in_words(config.kafka), closing(StageOffsets(config)) as offsets:
        yield offsets


def _row(found: StageOffset) -> tuple[str, ...]:
    who = "nobody yet" if found.offset is None else "tidemark" if found.is_ours else "another tool"
    offset = "-" if found.offset is None else str(found.offset)
    return found.group, f"{found.topic}[{found.partition}]", str(found.begin), offset, str(found.end), who
