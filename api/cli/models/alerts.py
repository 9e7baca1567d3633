"""``tidemark alerts``: what the monitor has said, and who has taken note of it."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import AuthorOption, SummaryOption
from api.cli.outputs import checked

alerts = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

_AlertArgument = Annotated[str, typer.Argument(metavar="ALERT", help="Its id, as `tidemark alerts list` says.")]


@alerts.callback()
def _alerts() -> None:
    """Alerts of the stages monitor and alerts: `tidemark worker --stages monitor,alerts`."""


@alerts.command(name="list")
@checked
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    summary: SummaryOption = None,
) -> None:
    """List the alerts that aren't over, what was opened last first."""
    from api.cli.models.run_alerts import run_list

    run_list(everything, summary)


@alerts.command()
@checked
def show(alert: _AlertArgument, summary: SummaryOption = None) -> None:
    """Show how an alert went, with its evidence."""
    from api.cli.models.run_alerts import run_show

    run_show(alert, summary)


@alerts.command()
def ack(
    alert: _AlertArgument,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="What is done about it; goes on record.")],
    author: AuthorOption = None,
) -> None:
    """Put on record that you have taken note of an open alert. It stays open until what it is about is over."""
    from api.cli.models.run_alerts import run_ack

    run_ack(alert, reason, author)


@alerts.command()
@checked
def act(
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Which alerts are acted on, as TOML; else missed fraud alone, once a day.")
    ] = None,
    summary: SummaryOption = None,
) -> None:
    """Do once what open alerts ask for: retrain, so that a candidate waits in the registry. Nothing is promoted.

    What is done, and for which alert, is on the topic actions; the same alert is acted on once. While an alert about the quality of data is
    open, nothing is trained. Fails with 1 if an action failed; it is tried again next time.
    """
    from api.cli.models.run_act import run

    run(policy, summary)
