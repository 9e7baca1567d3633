"""``tidemark simulate``: makes up transactions."""

from api.cli.data.options import SimulateOptions
from api.cli.option_sets import with_option_sets


@with_option_sets
def simulate(options: SimulateOptions) -> None:
    """Make up transactions with known frauds, to a file or straight onto the topic."""
    from api.cli.data.run_simulate import run

    run(options)
