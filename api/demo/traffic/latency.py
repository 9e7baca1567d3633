"""Latencies of a run of any length, in constant memory."""

import math
from collections import deque

import numpy as np

_GROWTH = math.log(1.01)
_LEAST_MS, _BINS = 0.1, 2_000
_RECENT_S = 10.0


class Latencies:
    """Milliseconds, each seen at a time in seconds. Percentiles of all are exact to 1 %, those of the last ten seconds entirely."""

    def __init__(self) -> None:
        self.count = 0
        self.most = 0.0
        self._bins = np.zeros(_BINS, np.int64)
        self._recent: deque[tuple[float, float]] = deque()

    def add(self, at: float, ms: float) -> None:
        """Takes one in; ``at`` must not fall."""
        self.count += 1
        self.most = max(self.most, ms)
        self._bins[min(_BINS - 1, int(math.log(max(ms, _LEAST_MS) / _LEAST_MS) / _GROWTH))] += 1
        self._recent.append((at, ms))
        self._forget(at)

    def percentile(self, share: float) -> float | None:
        """The latency in ms that this share (0–1) of all does not exceed; None if there are none."""
        if not self.count:
            return None
        index = int(np.searchsorted(np.cumsum(self._bins), math.ceil(share * self.count)))
        return min(self.most, _LEAST_MS * math.exp((index + 1) * _GROWTH))

    def recent(self, now: float, shares: tuple[float, ...]) -> list[float] | None:
        """The same for each of ``shares`` over the last ten seconds."""
        self._forget(now)
        if not self._recent:
            return None
        found: list[float] = np.quantile([ms for _, ms in self._recent], shares).tolist()
        return found

    def _forget(self, now: float) -> None:
        while self._recent and self._recent[0][0] < now - _RECENT_S:
            self._recent.popleft()
