"""``tidemark transactions``: what open transactions of others hold back, and their end."""

from typing import Annotated

import typer

transactions = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@transactions.callback()
def _transactions() -> None:
    """Open transactions of producers, behind which nothing can be read."""


@transactions.command(name="list")
def list_() -> None:
    """List the partitions that an open transaction holds back, and whose it is. Fails with 1 if there are any.

    It looks for some seconds: a transaction of Tidemark's own is over by then.
    """
    from api.cli.stream.run_transactions import run_list

    run_list()


@transactions.command()
def abort(
    transactional_id: Annotated[
        str, typer.Argument(metavar="TRANSACTIONAL.ID", help="The producer's, as `tidemark transactions list` says.")
    ],
) -> None:
    """Abort a producer's open transaction: what it has sent in it counts as never sent, and it can go on only by starting anew."""
    from api.cli.stream.run_transactions import run_abort

    run_abort(transactional_id)
