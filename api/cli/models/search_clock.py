"""The clock and the progress of a search for hyper-parameters."""

import time

import typer

from models.training.search import Trial
from models.training.tuning import SearchBudget


def search_budget(seconds: float, tries: int) -> SearchBudget:
    """The seconds count from when the search begins; each better trial is a line on stderr."""
    clock = _Clock(seconds)
    best: list[float] = []

    def report(trial: Trial, done: int) -> None:
        if not best or trial.score > best[-1]:
            best.append(trial.score)
            chosen = ", ".join(f"{name} {value}" for name, value in trial.parameters.items())
            typer.echo(
                f"search, try {done}: average precision {trial.score:.4f} with {chosen}; {max(0.0, clock.left):.0f} s left", err=True
            )

    return SearchBudget(tries, seconds, lambda: clock.left <= 0, report, clock.start)


class _Clock:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.start()

    def start(self) -> None:
        self._end = time.monotonic() + self._seconds

    @property
    def left(self) -> float:
        return self._end - time.monotonic()
