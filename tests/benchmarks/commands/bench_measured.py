"""What every benchmark's command does: measure, say on what, and write it down."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from api.cli.conventions import write_summary
from features.errors import UserError

PROGRAM = ("python", "-m", "tests.benchmarks")
"""How the benchmarks are typed."""

SummaryOption = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures here.")]


def measured(measure: Callable[[], dict[str, Any]], summary: Path | None) -> dict[str, Any]:
    """The figures, with what they were measured on, written if asked for. Services end with it, also by SIGTERM."""
    from features.online.feast_store import OnlineStoreError
    from tests.benchmarks.report.provenance import provenance

    made_on = provenance([*PROGRAM, *sys.argv[1:]])
    try:
        with ended_by_sigterm():
            figures = {**made_on, **measure()}
    except OnlineStoreError as error:
        raise UserError(f"{error}; nothing was measured") from error
    write_summary(summary, figures)
    return figures


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM during the block leaves it as an exception does, so that it can end what it has started."""
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
