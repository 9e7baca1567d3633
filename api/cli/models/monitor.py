"""``tidemark monitor``: is what serves still good?"""

from api.cli.models.options import MonitorOptions
from api.cli.option_sets import with_option_sets


@with_option_sets
def monitor(options: MonitorOptions) -> None:
    """Say of each model version how good its archived decisions were, by the labels known by a day, and how far its input and scores have
    drifted from what it was made of.

    Money and rates have intervals for users that might as well have come. Blocked payments without a label are counted as unseen.
    """
    from api.cli.models.run_monitor import run

    run(options)
