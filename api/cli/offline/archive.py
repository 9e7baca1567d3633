"""``tidemark archive``: the topics, kept as tables of the offline store."""

from api.cli.offline.options import ArchiveOptions
from api.cli.option_sets import with_option_sets


@with_option_sets
def archive(options: ArchiveOptions) -> None:
    """Keep transactions, labels, decisions and the scoring log as Parquet files by day, each record once.

    May be killed at any moment: the next run continues where this one stopped.
    """
    from api.cli.offline.run_archive import run

    run(options)
