"""The command `tidemark`."""

import os
import sys
import traceback

from api.cli.commands import LazyGroup
from features.errors import UserError, redacted
from infra.local.errors import ServiceError
from streams.workers.logs import redact_the_rest


def main() -> None:
    """Run the command that the arguments name. What the user can fix is one line on stderr and exit status 2."""
    redact_the_rest()
    # Whoever lies in the folder where this is run, as a features.py, is not to be what stages and Spark's workers import.
    os.environ["PYTHONSAFEPATH"] = "1"
    group = LazyGroup("tidemark", help="Fraud scoring of card transactions while they happen.")
    try:
        group(prog_name="tidemark")
    except (UserError, ServiceError) as error:
        print(f"error: {redacted(str(error))}", file=sys.stderr)
        sys.exit(2)
    except Exception:
        # Typer would print it with its own hook, passwords and all.
        sys.stderr.write(redacted(traceback.format_exc()))
        sys.exit(1)
