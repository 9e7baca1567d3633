"""The command `tidemark`. Each module beside this one is a group of commands and registers itself."""

import sys
import traceback

import typer

from api.cli import audit, demo, serve, services
from api.cli.batch import archive, backfill, score_users, training_set
from api.cli.models import backtest
from api.cli.stream import replay, state, worker
from features.errors import UserError, redacted
from infra.local.errors import ServiceError
from streams.workers.logs import redact_the_rest

GROUPS = (services, replay, backtest, worker, state, archive, backfill, training_set, score_users, serve, audit, demo)


def main() -> None:
    """Run the command that the arguments name. What the user can mend is one line on stderr and exit status 2."""
    app = typer.Typer(
        help="Fraud scoring of card transactions while they happen.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for group in GROUPS:
        group.register(app)
    redact_the_rest()
    try:
        app(prog_name="tidemark")
    except (UserError, ServiceError) as error:
        print(f"error: {redacted(str(error))}", file=sys.stderr)
        sys.exit(2)
    except Exception:
        # Typer would print it with its own hook, passwords and all.
        sys.stderr.write(redacted(traceback.format_exc()))
        sys.exit(1)
