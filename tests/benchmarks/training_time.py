"""How long the pipeline's final model takes, from reading a file to the booster, with every history it may average; without the search.

    python -m tests.benchmarks.training_time

reads the file that TIDEMARK_HANDBOOK names, computes every vector, fits the models of 7, 28 and 90 days that end with the newest known
label, and writes their one booster. Prints seconds, CPU seconds and the process's peak memory as JSON.
"""

import json
import os
import resource
import time
from pathlib import Path

from features.definitions import DAY, FEATURE_SETS
from features.history.columns import parse_mapping
from features.history.datafile import read_transactions
from models.learners.booster_average import average
from models.training.recipe import Recipe, TreeCache
from models.training_set.rows import training_set

FEATURES = "fraud_v3"
DELAY_DAYS = 7
THREADS = 2


def measured(file: Path) -> dict[str, float]:
    """Seconds of wall time until the training set was there and until the model was, CPU seconds, peak memory, and what was made."""
    began = time.monotonic()
    table = read_transactions(file, parse_mapping("handbook"), f"{DELAY_DAYS}d")
    event_time = table["event_time"].to_numpy()
    rows = training_set(
        table,
        FEATURE_SETS[FEATURES],
        int(event_time.min()),
        int(event_time.max()) + 1,
        int(event_time.max()),
        DELAY_DAYS * DAY,
    )
    built = time.monotonic() - began
    recipe = Recipe()
    grown = TreeCache(rows, FEATURE_SETS[FEATURES].names, recipe, threads=THREADS)
    end = int(rows.event_time.max()) + 1
    models = [grown.trees(days, end).booster for days in recipe.histories]
    booster = average(models)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "rows": len(rows.is_fraud),
        "training_set_s": round(built, 1),
        "whole_s": round(time.monotonic() - began, 1),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "peak_memory_mb": round(used.ru_maxrss / 1024),
        "trees": booster.num_boosted_rounds(),
        "model_bytes": len(booster.save_raw("ubj")),
    }


if __name__ == "__main__":
    print(json.dumps(measured(Path(os.environ["TIDEMARK_HANDBOOK"])), indent=2))
