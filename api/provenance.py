"""Who ran what, when, with which code."""

import getpass
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from models.training_set.snapshot import Provenance

_ROOT = Path(__file__).parents[1]


def provenance(author: str | None) -> Provenance:
    """The provenance of what this process makes now; without an ``author``, the user whom the machine knows."""
    return Provenance(
        author or _user(), datetime.now(UTC).isoformat(timespec="seconds"), commit() or version("tidemark"), shlex.join(command_line())
    )


def command_line() -> list[str]:
    """The command as it was typed, its program by name."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]]


def commit() -> str | None:
    """The checkout's commit, with ``+changes`` if files of it were changed since; None outside a checkout."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    head = git("rev-parse", "HEAD")
    return f"{head}+changes" if head and git("status", "--porcelain", "--untracked-files=no") else head


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user needs no name
        return "unknown"
