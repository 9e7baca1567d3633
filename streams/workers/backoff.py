"""How long a stage that ended waits before it is started again."""

_LONGEST_S = 60.0
# A run that lasted so long was a good one.
_WELL_S = 30.0


class Backoff:
    """Of one stage: it starts again at once, then after 1, 2, 4 … 60 s; and at once again after a run of half a minute that came up.

    ``failures`` are those in a row.
    """

    def __init__(self) -> None:
        self.failures = 0

    def wait_after(self, ran_s: float, came_up: bool) -> float:
        """How many seconds to wait after a run of ``ran_s`` seconds that failed."""
        if came_up and ran_s >= _WELL_S:
            self.failures = 0
        self.failures += 1
        # Beyond a minute the exponent would only grow.
        return 0.0 if self.failures == 1 else min(_LONGEST_S, 2.0 ** min(self.failures - 2, 10))
