"""Against SciPy, on the same bins."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy, ks_2samp

from models.monitoring.divergence import jensen_shannon_distance, kolmogorov_smirnov, population_stability_index, shares

counts = st.lists(st.integers(0, 40), min_size=2, max_size=12)


@given(st.data())
def test_each_measure_is_scipys(data: st.DataObject) -> None:
    one = np.array(data.draw(counts))
    other = np.array(data.draw(st.lists(st.integers(0, 40), min_size=len(one), max_size=len(one))))
    p, q = shares(one), shares(other)
    assert population_stability_index(p, q) == pytest.approx(entropy(p, q) + entropy(q, p), abs=1e-9)
    assert jensen_shannon_distance(p, q) == pytest.approx(float(np.nan_to_num(jensenshannon(p, q))), abs=1e-9)
    if one.sum() and other.sum():
        samples = [np.repeat(np.arange(len(one)), bins) for bins in (one, other)]
        exact = [bins / bins.sum() for bins in (one, other)]
        assert kolmogorov_smirnov(*exact) == pytest.approx(ks_2samp(*samples, method="asymp").statistic, abs=1e-9)


def test_an_empty_bin_makes_nothing_infinite() -> None:
    p, q = shares(np.array([10, 0, 0])), shares(np.array([0, 0, 10]))
    assert np.isfinite(population_stability_index(p, q))
    assert p.sum() == pytest.approx(1)


def test_the_same_is_no_distance_apart() -> None:
    p = shares(np.array([3, 5, 0, 9]))
    assert (population_stability_index(p, p), jensen_shannon_distance(p, p), kolmogorov_smirnov(p, p)) == (0, 0, 0)
