"""``tidemark score-users``: the risk of every user as of a day."""

from api.cli.offline.options import ScoreUsersOptions
from api.cli.option_sets import with_option_sets


@with_option_sets
def score_users(options: ScoreUsersOptions) -> None:
    """Judge every user by the latest payments, as if they were made again when the day begins, with what is known by then.

    A user's risk is the highest probability that the champion gives one of the payments of the last 14 days, or the last one before.
    The result is one day's partition of the table user-risk in the offline store; run again, it replaces that day's only, at once.
    """
    from api.cli.offline.run_score_users import run

    run(options)
