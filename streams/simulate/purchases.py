"""What honest users buy on one day (handbook, section 3.3)."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from features.arrays import Bool, Float64, Int64
from streams.simulate.population import MOST_DEVICES, Population
from streams.simulate.spec import DAY_MS, Stream, generator

NO_DEVICE = -1
PRICE_RISE = 1.3  # after the drift everything costs more
_NOON_S, _SPREAD_S = 43_200.0, 20_000.0
_LATER_S = 3 * 3_600.0  # after the drift people shop later
_FAVOURITE_SHARE = 0.8
_DEVICE_LIFE_DAYS = 500
_GENERATIONS = 1_000


@dataclass
class DayLog:
    """The transactions of one day, one entry each: ``time`` in ms since midnight, ``amount`` in major units, ``device`` a number or
    NO_DEVICE, ``fraud`` set by the scenarios."""

    time: Int64
    user: Int64
    merchant: Int64
    amount: Float64
    online: Bool
    device: Int64
    fraud: Bool

    def __len__(self) -> int:
        return len(self.time)

    def take(self, rows: Int64 | Bool) -> Self:
        """These rows of it."""
        return type(self)(*(column[rows] for column in vars(self).values()))

    def followed_by(self, other: Self) -> Self:
        """Both, one after the other."""
        return type(self)(*(np.concatenate(pair) for pair in zip(vars(self).values(), vars(other).values(), strict=True)))


def purchases(population: Population, day: int) -> DayLog:
    """The honest transactions of one day (days since 1970-01-01), grouped by user."""
    drifted = population.spec.drifted(day)
    random = generator(population.spec.seed, Stream.PURCHASES, day)
    count = random.poisson(population.purchases_a_day)
    user = np.repeat(np.arange(len(count)), count)
    second = random.normal(_NOON_S + _LATER_S * drifted, _SPREAD_S, len(user))
    mean = population.mean_amount[user]
    amount = random.normal(mean, mean / 2)
    amount = np.where(amount < 0, random.uniform(0, 2 * mean), amount)
    reach = population.reach_after_drift if drifted else population.reach
    merchant = reach.pick(user, random.random(len(user)))
    online = random.random(len(user)) < population.online_share[user]
    device = own_device(population, user, day, random.random((2, len(user))))
    log = DayLog(
        time=(second * 1000).astype(np.int64),
        user=user,
        merchant=merchant,
        amount=amount * PRICE_RISE if drifted else amount,
        online=online,
        device=np.where(online, device, NO_DEVICE),
        fraud=np.zeros(len(user), dtype=bool),
    )
    # As in the handbook, what the normal distribution puts outside the day doesn't happen.
    return log.take((log.time > 0) & (log.time < DAY_MS))


def own_device(population: Population, user: Int64, day: int, at: Float64) -> Int64:
    """Which of the user's own devices is used, mostly the favourite one; each is replaced by a new one every 500 days, at its own time.

    ``at`` (2 × n) holds uniform numbers in [0, 1).
    """
    slot = np.where(at[0] < _FAVOURITE_SHARE, 0, (at[1] * population.devices[user]).astype(np.int64))
    device = user * MOST_DEVICES + slot
    # A fixed multiplier spreads the days of replacement over devices.
    generation = (day + device * 7_919 % _DEVICE_LIFE_DAYS) // _DEVICE_LIFE_DAYS
    return device * _GENERATIONS + generation
