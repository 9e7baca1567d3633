"""``tidemark offsets``: where the stages stand in their logs, and back to there."""

import typer

offsets = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@offsets.callback()
def _offsets() -> None:
    """Where the stages stand in their logs, and who has set that."""


@offsets.command()
def show() -> None:
    """List each stage's group, partition, offset, the log's end, and who set the offset.

    Fails with 1 if another tool has set one: workers refuse to go on from it.
    """
    from api.cli.stream.run_offsets import run_show

    run_show()


@offsets.command()
def restore() -> None:
    """Set the offsets that another tool has changed, or Kafka has forgotten, to where the stages were; send again what got lost by that.

    No worker may run meanwhile. Nothing is lost by it, and nothing decided twice. Also the way to take over a deployment of version 0.2.0,
    which did not sign its offsets.
    """
    from api.cli.stream.run_offsets import run_restore

    run_restore()
