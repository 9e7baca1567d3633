"""The clock and the progress of a search for hyper-parameters."""

import time

import typer

from models.search import Trial
from models.tuning import SearchBudget


def search_budget(seconds: float, tries: int) -> SearchBudget:
    """The seconds count from now; each better trial is a line on stderr."""
    end = time.monotonic() + seconds
    best: list[float] = []

    def told(trial: Trial, done: int) -> None:
        if not best or trial.score > best[-1]:
            best.append(trial.score)
            chosen = ", ".join(f"{name} {value}" for name, value in trial.parameters.items())
            left = max(0.0, end - time.monotonic())
            typer.echo(f"search, try {done}: average precision {trial.score:.4f} with {chosen}; {left:.0f} s left", err=True)

    return SearchBudget(tries, lambda: time.monotonic() >= end, told)
