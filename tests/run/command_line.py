"""Commands of ``tidemark`` in the test's own process, and the home that they find."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli.commands import app_of
from infra.local import services


def ran(command: str, *arguments: str | Path) -> str:
    """What the command says; what the user can fix is raised."""
    done = CliRunner().invoke(app_of(command), [str(argument) for argument in arguments])
    if done.exception is not None:
        raise done.exception
    return done.output


FACTS = ("FEATURES", "CURRENCY", "OFFLINE", "ARTIFACTS")


@contextmanager
def home_at(home: Path) -> Iterator[Path]:
    """During the block commands use this home, and no service or store outside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIDEMARK_HOME", str(home))
        for name in (*services.OUTSIDE_VARIABLES.values(), *(f"TIDEMARK_{fact}" for fact in FACTS)):
            patch.delenv(name, raising=False)
        yield home
