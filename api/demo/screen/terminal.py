"""Where a demo shows itself: on a terminal with a part that is drawn anew in place, elsewhere in plain lines."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

_TITLE_WIDTH = 10


@dataclass
class Step:
    """Something of the set-up or the clearing away; ``doing`` says what it does now."""

    title: str
    doing: Callable[[], str]
    began: float
    shown: str = ""


class Presentation:
    """Lines that stay, below them, on a terminal, what goes on now. Once nobody reads any more it goes on in silence."""

    def __init__(self, in_place: bool) -> None:
        self._console = Console(highlight=False)
        self._steps: dict[str, Step] = {}
        self._spinner = Spinner("dots", style="cyan")
        self._scene: RenderableType | None = None
        self._live = Live(get_renderable=self._now, console=self._console, refresh_per_second=8) if in_place else None

    @property
    def in_place(self) -> bool:
        """Whether there is a part that is drawn anew."""
        return self._live is not None

    def open(self) -> None:
        """Begins to draw."""
        if self._live is not None:
            self._live.start()

    def close(self) -> None:
        """Leaves what was drawn last on the terminal; from here on there are only lines."""
        self._steps.clear()
        if self._live is not None:
            self._safely(self._live.stop)
            self._live = None

    def begin(self, title: str, doing: Callable[[], str] | str = "") -> None:
        """A step begins."""
        self._steps[title] = Step(title, doing if callable(doing) else lambda: doing, time.monotonic())

    def done(self, title: str, result: str) -> None:
        """A step that had begun is done."""
        step = self._steps.pop(title)
        self.say(f"[green]✓[/] {title:<{_TITLE_WIDTH}}{result}  [dim]{time.monotonic() - step.began:.1f} s[/]")

    def look(self) -> None:
        """Without a terminal: a line for each step that does something new."""
        for step in self._steps.values():
            doing = step.doing()
            if not self.in_place and doing and doing != step.shown:
                step.shown = doing
                self.say(f"… {step.title:<{_TITLE_WIDTH}}{doing}")

    def say(self, line: str) -> None:
        """A line that stays; in Rich's markup."""
        self._safely(lambda: self._console.print(line, soft_wrap=True))

    def quote(self, text: str) -> None:
        """Text that stays, to the letter."""
        self._safely(lambda: self._console.print(text, markup=False, soft_wrap=True))

    def draw(self, scene: RenderableType | None) -> None:
        """What the part that is drawn anew shows from now on, below the steps."""
        self._scene = scene

    def _now(self) -> RenderableType:
        steps = Table.grid(padding=(0, 1))
        for step in list(self._steps.values()):
            steps.add_row(self._spinner, f"{step.title:<{_TITLE_WIDTH - 1}}", Text(step.doing(), style="dim"))
        return Group(*([steps] if self._steps else []), *([self._scene] if self._scene is not None else []))

    def _safely(self, show: Callable[[], None]) -> None:
        try:
            show()
        except OSError:  # the terminal was closed, or the pipe; what runs must be ended all the same
            self._console.file = open(os.devnull, "w")  # noqa: SIM115  # for the rest of the process
