"""What scoring takes on this machine, of two models measured alternately, so that other load affects both.

An edge: it looks at the clock.
"""

import time

import numpy as np

from features.arrays import Float32
from models.promotion.gate import Latency
from models.scoring import Scorer

_MANY = 1_000
_TURNS = 100


def latencies(scorers: tuple[tuple[Scorer, Float32], ...]) -> tuple[Latency, ...]:
    """Of each scorer with some of its vectors (at least one)."""
    many = [(scorer, np.resize(vectors, (_MANY, vectors.shape[1]))) for scorer, vectors in scorers]
    alone: list[list[float]] = [[] for _ in scorers]
    together: list[list[float]] = [[] for _ in scorers]
    for turn in range(_TURNS):
        for place, (scorer, rows) in enumerate(many):
            alone[place].append(_seconds(scorer, rows[turn : turn + 1]))
            if turn % 10 == 0:
                together[place].append(_seconds(scorer, rows))
    return tuple(
        Latency(round(float(np.median(one)) * 1e3, 3), round(float(np.median(all_at_once)) / _MANY * 1e6, 2))
        for one, all_at_once in zip(alone, together, strict=True)
    )


def _seconds(scorer: Scorer, rows: Float32) -> float:
    began = time.perf_counter()
    scorer.score(rows)
    return time.perf_counter() - began
