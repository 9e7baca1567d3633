"""The command `tidemark`."""

import sys

from api.cli.commands import LazyGroup
from features.errors import UserError
from infra.local.errors import ServiceError


def main() -> None:
    """Run the command that the arguments name. What the user can fix is one line on stderr and exit status 2."""
    group = LazyGroup("tidemark", help="Fraud scoring of card transactions while they happen.")
    try:
        group(prog_name="tidemark")
    except (UserError, ServiceError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
