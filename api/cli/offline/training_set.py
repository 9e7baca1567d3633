"""``tidemark training-set``: the rows to learn from, made ahead of training, by Spark where the archive is large."""

from api.cli.offline.options import TrainingSetOptions
from api.cli.option_sets import with_option_sets


@with_option_sets
def training_set(options: TrainingSetOptions) -> None:
    """Join archived decisions, their vectors as served, with their labels into a training set for `tidemark train --data FOLDER`."""
    from api.cli.offline.run_training_set import run

    run(options)
