"""The commands ``train`` and ``retrain``."""

from typing import Annotated

import typer

from api.cli.models.options import TrainingOptions
from api.cli.option_sets import with_option_sets
from api.cli.options import ModelOption


@with_option_sets
def train(options: TrainingOptions, model: ModelOption = "xgboost") -> None:
    """Train a model and register it: as champion if there is none, else as a candidate.

    It learns from a file's transactions, from a folder that `tidemark training-set` has made, or from what is archived in the offline
    store: the decisions, with their vectors as they were served and their labels. Of a file, what happened before --from only warms the
    windows. Transactions whose label isn't known by --as-of are left out, or weighted with --immature weighted; of the archive, those
    blocked without a label are left out too.
    """
    from api.cli.models.run_training import run_train

    run_train(options, model)


@with_option_sets
def retrain(
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why now: the alert, or the schedule.")],
    options: TrainingOptions,
    weeks: Annotated[int, typer.Option(metavar="N", min=1, help="How many of the newest matured weeks are held back to compare on.")] = 1,
    lease_hours: Annotated[float, typer.Option(metavar="HOURS", min=0.1, help="How long a run may take before another may begin.")] = 4.0,
) -> None:
    """Train again, for an alert or by schedule: ends with a candidate in the registry and a report.

    One run at a time: while one works, another ends at once and says so. The same data given again leads to the version it led to before.
    The candidate is compared with the champion on weeks it hasn't seen, then refitted on them too; nothing is promoted.
    """
    from api.cli.models.run_training import run_retrain

    run_retrain(reason, options, weeks, lease_hours)
