"""Who trains, when, with which code."""

import getpass
import shlex
from datetime import UTC, datetime
from importlib.metadata import version

from models.data_snapshot import Provenance


def provenance(author: str | None) -> Provenance:
    """The provenance of what this process makes now; without an ``author``, the user whom the machine knows."""
    from api.bench.provenance import command_line, commit

    return Provenance(
        author or _user(), datetime.now(UTC).isoformat(timespec="seconds"), commit() or version("tidemark"), shlex.join(command_line())
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user needs no name
        return "unknown"
