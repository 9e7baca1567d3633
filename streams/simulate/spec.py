"""What to simulate, and the random streams that a seed stands for."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from features.errors import UserError

DAY_MS = 86_400_000
_EARLIEST_DAY, _LATEST_DAY = 1_200, 100_000  # 1973 and 2243, well within the bounds of event_time
_MOST_USERS = 10**7


@dataclass(frozen=True)
class SimulationSpec:
    """What to simulate.

    ``start_ms`` and ``drift_at_ms`` are midnights (ms UTC); from the latter on (None: never) users and thieves behave otherwise.
    ``takeovers`` is how many accounts among 5,000 users are taken over each day. Raises UserError if a value makes no sense.
    """

    seed: int
    users: int
    merchants: int
    start_ms: int
    days: int
    drift_at_ms: int | None = None
    takeovers: float = 0.5

    def __post_init__(self) -> None:
        for name, least in (("seed", 0), ("users", 1), ("merchants", 1), ("days", 1)):
            if getattr(self, name) < least:
                raise UserError(f"--{name} {getattr(self, name)} is too small; use at least {least}")
        if self.users > _MOST_USERS:
            raise UserError(f"--users {self.users} is too large; use at most {_MOST_USERS}")
        if not 0 <= self.takeovers <= 5_000:
            raise UserError(f"--takeovers {self.takeovers} is not a number a day among 5,000 users; use for example 0.5, or 0 for none")
        if self.start_ms % DAY_MS or (self.drift_at_ms or 0) % DAY_MS:
            raise UserError("a simulation starts and drifts at midnight UTC; give whole days")
        if not _EARLIEST_DAY <= self.first_day <= self.last_day <= _LATEST_DAY:
            raise UserError("a simulation must lie between the years 1974 and 2243; change --from, --to or --days")
        if self.drift_at_ms is not None and self.drift_at_ms // DAY_MS > self.last_day:
            raise UserError("--drift-at lies after the last day, so nothing would drift; give a day before --to")

    @property
    def first_day(self) -> int:
        """Days since 1970-01-01."""
        return self.start_ms // DAY_MS

    @property
    def last_day(self) -> int:
        """The last simulated day, in days since 1970-01-01."""
        return self.first_day + self.days - 1

    def drifted(self, day: int) -> bool:
        """Whether behaviour on this day (days since 1970-01-01) is the changed one."""
        return self.drift_at_ms is not None and day * DAY_MS >= self.drift_at_ms


class Stream(IntEnum):
    """The independent random streams of a seed."""

    USERS = 0
    MERCHANTS = 1
    MOVES = 2
    PURCHASES = 3
    COMPROMISED_MERCHANTS = 4
    LEAKED_CARDS = 5
    LEAKED_USE = 6
    TAKEOVERS = 7
    TAKEOVER_USE = 8


def generator(seed: int, stream: Stream, day: int = 0) -> np.random.Generator:
    """The random numbers of one stream on one day."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(stream, day))))
