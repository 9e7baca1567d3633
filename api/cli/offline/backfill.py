"""``tidemark backfill``: features of the past, computed."""

from api.cli.offline.options import BackfillOptions
from api.cli.option_sets import with_option_sets


@with_option_sets
def backfill(options: BackfillOptions) -> None:
    """Compute a feature set over archived transactions and labels, point in time, by Spark.

    All that is archived before --to is read; the days from --from on are written, except those that are there already from the same
    definition and the same state of the archive. So the same command again continues a run that was interrupted.
    """
    from api.cli.offline.run_backfill import run

    run(options)
