"""What all commands have in common: days, the progress bar, the summary file, a clean Ctrl-C."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from api.cli.options import QUIET
from api.cli.outputs import write_json
from features.errors import UserError

INTERRUPTED = 130
_SAY_EVERY_S = 10.0


def write_summary(path: Path | None, summary: Mapping[str, object]) -> None:
    """Write the summary as a JSON object, if ``--json`` names a file for it. Raises UserError if it can't be written."""
    if path is None:
        return
    try:
        write_json(path, summary)
    except OSError as failure:
        raise UserError(f"--json {path} can't be written: {failure.strerror}; name a file in a folder that you may write to") from None


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


class _Lines:
    """How far something is, for a log: from the tenth second on a line every ten seconds."""

    def __init__(self, title: str, total: int | None) -> None:
        self._title, self._total = title, total
        self._began = self._said = time.monotonic()
        self._done = 0

    def advance(self, count: int) -> None:
        """Notes that ``count`` more are done."""
        self._done += count
        now = time.monotonic()
        if now - self._said < _SAY_EVERY_S or not self._done:
            return
        self._said = now
        of = f" of {self._total:,} ({self._done / self._total:.0%})" if self._total else ""
        print(f"{self._title}: {self._done:,}{of}, {self._done / (now - self._began):,.0f}/s", file=sys.stderr, flush=True)


def say(sentence: str) -> None:
    """What is done now, on stderr; nothing after ``tidemark --quiet``."""
    if not os.environ.get(QUIET):
        print(sentence, file=sys.stderr, flush=True)


@contextmanager
def progress(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar with count, rate and time left on stderr if that is a terminal, else a line every ten seconds, and nothing after
    ``tidemark --quiet``; yields what to call with how many more are done."""
    if os.environ.get(QUIET):
        yield lambda _: None
        return
    if not sys.stderr.isatty():
        yield _Lines(title, total).advance
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
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
