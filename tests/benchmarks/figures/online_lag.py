"""How far the online store is behind what a stage has committed."""

from collections.abc import Sequence

import numpy as np

from features.arrays import Float64, Int64
from tests.benchmarks.figures.sampling import Sample
from tests.benchmarks.figures.stage_sampling import MEASURED, ONLINE


def worst(samples: Sequence[Sample]) -> dict[str, float]:
    """The most (s) that the online store was behind each stage at a sample."""
    at = np.array([sample.at for sample in samples])
    return {stage: round(float(behind(at, _positions(samples, stage), _positions(samples, ONLINE[stage])).max()), 2) for stage in MEASURED}


def behind(at: Float64, committed: Int64, written: Int64) -> Float64:
    """At each of n samples taken at the times ``at`` (s), the age of the oldest record that is committed and not written, 0 if all are.

    ``committed`` and ``written`` (n × partitions) are next offsets that never fall. A record's commit is dated at the sample before the one
    that first shows it, so the age is too large by up to the time between two samples, and never too small.
    """
    found = np.zeros(len(at))
    for partition in range(committed.shape[1]):
        first = np.searchsorted(committed[:, partition], written[:, partition], side="right")
        open_ = committed[:, partition] > written[:, partition]
        found[open_] = np.maximum(found[open_], (at - at[np.maximum(first, 1) - 1])[open_])
    return found


def _positions(samples: Sequence[Sample], name: str) -> Int64:
    return np.array([sample.committed[name] for sample in samples], np.int64)
