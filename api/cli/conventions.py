"""What all commands have in common: days, the progress bar, the summary file, a clean Ctrl-C."""

import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from features.errors import UserError

INTERRUPTED = 130


def write_summary(path: Path | None, summary: Mapping[str, object]) -> None:
    """Write the summary as a JSON object, if ``--json`` names a file for it. Raises UserError if it can't be written."""
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(summary, indent=2) + "\n")
    except OSError as failure:
        raise UserError(f"--json {path} can't be written: {failure.strerror}; name a file in a folder that you may write to") from None


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


@contextmanager
def progress(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar with count, rate and time left on stderr, if that is a terminal; yields what to call with how many more are done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.advance(task, count)


@contextmanager
def until_interrupted(*others: signal.Signals) -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether Ctrl-C was pressed or another of these signals came, so that work can end in order; a second
    one ends it at once."""
    pressed = False

    def press(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, press) for number in (signal.SIGINT, *others)}
    try:
        yield lambda: pressed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
