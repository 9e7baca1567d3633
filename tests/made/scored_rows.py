"""Scored rows for tests: seeded, some in a hundred a fraud, most of which score high."""

import numpy as np

from features.definitions import DAY
from models.evaluation.scored_rows import ScoredRows, amount_bands


def scored(n: int = 4_000, seed: int = 0, skill: float = 3.0, days: int = 7) -> ScoredRows:
    """The higher the skill, the better the probabilities tell frauds."""
    rng = np.random.default_rng(seed)
    is_fraud = rng.random(n) < 0.03
    logit = rng.normal(-4, 1, n) + skill * is_fraud
    amount = rng.integers(100, 50_000, n)
    return ScoredRows(
        np.sort(rng.integers(0, days * DAY, n)),
        rng.integers(0, n // 20, n),
        amount,
        is_fraud,
        1 / (1 + np.exp(-logit)),
        {"amount": amount_bands(amount)},
    )
