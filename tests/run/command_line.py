"""Commands of ``tidemark`` in the test's own process, and the home that they find."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest
import typer
from typer.testing import CliRunner

from infra.local import services


class Commands(Protocol):
    """A module of ``api/cli``."""

    def register(self, app: typer.Typer) -> None: ...


def ran(commands: Commands, *arguments: str | Path) -> str:
    """What the command says; what the user can mend is raised."""
    app = typer.Typer()
    commands.register(app)
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception is not None:
        raise done.exception
    return done.output


@contextmanager
def home_at(home: Path) -> Iterator[Path]:
    """During the block commands use this home, and no service or store outside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIDEMARK_HOME", str(home))
        for name in (*services.OUTSIDE_VARIABLES.values(), "TIDEMARK_OFFLINE", "TIDEMARK_ARTIFACTS"):
            patch.delenv(name, raising=False)
        yield home
