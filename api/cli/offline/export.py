"""``tidemark features export``: features of the past, as files."""

import typer

from api.cli.offline.options import ExportOptions
from api.cli.option_sets import with_option_sets
from api.cli.outputs import checked

features = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@features.callback()
def _features() -> None:
    """Features of the past, as files."""  # with a callback a group of one command stays a group


@features.command()
@checked
@with_option_sets
def export(options: ExportOptions) -> None:
    """Write all features of a range, no list of entities needed: a Parquet file a day, a float32 column a feature."""
    from api.cli.offline.run_export import run

    run(options)
