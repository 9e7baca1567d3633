"""The command ``promote``: a version takes a role, through the gate."""

from api.cli.models.options import PromoteOptions
from api.cli.option_sets import with_option_sets


@with_option_sets
def promote(options: PromoteOptions) -> None:
    """Let a version serve as champion; workers and API follow within seconds. Or make it challenger or shadow.

    Refused if its features failed their latest tidemark audit or, though there is a champion, had none; if it is worse than the champion,
    beyond a margin, on the newest weeks whose labels have come; if its probabilities are off, or it is slow.
    """
    from api.cli.models.run_promotion import run

    run(options)
