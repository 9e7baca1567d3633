"""``tidemark dead-letters``: what could not be taken, why, and sent again."""

from typing import Annotated

import typer

from api.cli.options import SummaryOption


def dead_letters(
    show: Annotated[
        str | None,
        typer.Option(metavar="REASON|TOPIC/PARTITION/OFFSET", help="Show the newest letter of a reason, or the one about a record."),
    ] = None,
    replay: Annotated[
        str | None, typer.Option(metavar="REASON", help="Send what was refused for this reason again, each record once.")
    ] = None,
    summary: SummaryOption = None,
) -> None:
    """Count the dead letters by topic and reason, show one, or send the records of a reason again once its cause is fixed.

    Which were sent again is remembered with the topics. What is still refused then becomes a new dead letter.
    """
    from api.cli.stream.run_dead_letters import run

    run(show, replay, summary)
