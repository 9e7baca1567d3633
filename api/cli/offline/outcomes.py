"""``tidemark outcomes``: what has become of each decision, as a table."""

from api.cli.offline.options import OutcomesOptions
from api.cli.option_sets import with_option_sets


@with_option_sets
def outcomes(options: OutcomesOptions) -> None:
    """Join archived decisions with what became of them, in the table outcomes of the offline store, by day.

    A day is written again only if more of it was archived, or more of it has matured, since it was written. May be killed at any moment:
    the next run continues where this one stopped.
    """
    from api.cli.offline.run_outcomes import run

    run(options)
