"""Who trains, when, with which code."""

import getpass
import shlex
from datetime import UTC, datetime
from importlib.metadata import version

from api.invocation import command_line, commit
from models.training_set.snapshot import Provenance


def provenance(author: str | None) -> Provenance:
    """The provenance of what this process makes now; without an ``author``, the user whom the machine knows."""
    return Provenance(
        author or _user(), datetime.now(UTC).isoformat(timespec="seconds"), commit() or version("tidemark"), shlex.join(command_line())
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user needs no name
        return "unknown"
