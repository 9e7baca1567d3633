"""How far apart two distributions over the same bins are, by the measures that people know. Each takes shares (one entry a bin, sum 1)."""

import numpy as np
import numpy.typing as npt

from features.arrays import Float64

# What each bin has besides its counts, so that an empty one makes no measure infinite (Jeffreys' prior of a multinomial).
_PRIOR = 0.5


def shares(counts: npt.NDArray[np.number]) -> Float64:
    """The part of all, 0–1, that falls into each bin (the last axis), of which each has half an event more than ``counts`` (≥ 0) say."""
    filled = counts.astype(np.float64) + _PRIOR
    return np.asarray(filled / filled.sum(axis=-1, keepdims=True))


def population_stability_index(expected: Float64, observed: Float64) -> float:
    """PSI: the sum of both relative entropies, ≥ 0. By custom below 0.1 little has changed, above 0.25 much."""
    return float(((observed - expected) * np.log(observed / expected)).sum())


def jensen_shannon_distance(expected: Float64, observed: Float64) -> float:
    """The square root of the Jensen–Shannon divergence in nats, 0 to √ln 2 (Endres and Schindelin, 2003, "A new metric for probability
    distributions")."""
    return float(jensen_shannon_distances(expected, observed))


def jensen_shannon_distances(expected: Float64, observed: Float64) -> Float64:
    """As ``jensen_shannon_distance``, of each pair of distributions along the last axis."""
    middle = (expected + observed) / 2
    divergence = (_relative_entropy(expected, middle) + _relative_entropy(observed, middle)) / 2
    return np.asarray(np.sqrt(np.maximum(0.0, divergence)))


def kolmogorov_smirnov(expected: Float64, observed: Float64) -> float:
    """The largest distance between both cumulative distributions, 0–1, with the bins in order."""
    return float(np.abs(np.cumsum(expected - observed)).max(initial=0.0))


def _relative_entropy(of: Float64, against: Float64) -> Float64:
    return np.asarray((of * np.log(of / against)).sum(axis=-1))
