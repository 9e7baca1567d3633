"""The frauds of one day: the handbook's three scenarios (section 3.4) and account takeovers.

1. An amount over 220 is fraud: plain to see.
2. Two terminals a day (among 10,000) are compromised for 28 days, and all that is paid there is fraud.
3. The cards of three customers a day (among 5,000) leak for 14 days: a third of their purchases is fraud, at five times the amount.
4. Accounts are taken over for three days: bursts of online purchases, far and wide, from a device that the user never had.

Their numbers grow with the population, so that about 0.9 % of transactions are fraud whatever its size.
"""

import numpy as np

from features.arrays import Float64, Int64
from streams.simulate.population import Population
from streams.simulate.purchases import PRICE_RISE, DayLog
from streams.simulate.spec import DAY_MS, Stream, generator

_OBVIOUS_AMOUNT = 220.0
_COMPROMISED_A_DAY, _AMONG_MERCHANTS, _COMPROMISED_DAYS = 2.0, 10_000, 28
_LEAKED_A_DAY, _AMONG_USERS, _LEAKED_DAYS = 3.0, 5_000, 14
_LEAKED_SHARE, _LEAKED_FACTOR, _LEAKED_FACTOR_AFTER_DRIFT = 1 / 3, 5.0, 2.0
_TAKEOVER_DAYS = 3
_MORE_PURCHASES, _TAKEOVER_GAP_MS = 3.0, 600_000.0
_LATEST_START = 0.85  # of the day, so that most of a burst fits into it
# Far above every own device; the thieves of a day share one.
_THIEVES_DEVICE = 10**15


class FraudScenarios:
    """Lays frauds over a population's days. Who is hit on a day follows from the seed and the days before, not from where one starts."""

    def __init__(self, population: Population) -> None:
        self._population = population
        self._struck: dict[tuple[Stream, int], Int64] = {}

    def lay_over(self, log: DayLog, day: int) -> DayLog:
        """The day's honest purchases with those that are fraud marked (and changed), and the thieves' own added behind them."""
        spec = self._population.spec
        drifted = spec.drifted(day)
        log.fraud |= log.amount > _OBVIOUS_AMOUNT * (PRICE_RISE if drifted else 1.0)

        compromised = self._struck_within(Stream.COMPROMISED_MERCHANTS, day, _COMPROMISED_DAYS)
        log.fraud |= np.isin(log.merchant, compromised)

        leaked = self._struck_within(Stream.LEAKED_CARDS, day, _LEAKED_DAYS)
        used = generator(spec.seed, Stream.LEAKED_USE, day).random(len(log)) < _LEAKED_SHARE
        stolen = used & np.isin(log.user, leaked)
        log.amount[stolen] *= _LEAKED_FACTOR_AFTER_DRIFT if drifted else _LEAKED_FACTOR
        log.fraud |= stolen
        return log.followed_by(self._takeovers(day))

    def _takeovers(self, day: int) -> DayLog:
        """What those buy whose device took an account over today or in the two days before."""
        spec = self._population.spec
        starts = range(day - _TAKEOVER_DAYS + 1, day + 1)
        victims = [self._struck_on(Stream.TAKEOVERS, start) for start in starts]
        victim = np.concatenate(victims)
        device = np.repeat([_THIEVES_DEVICE + start for start in starts], [len(some) for some in victims])
        random = generator(spec.seed, Stream.TAKEOVER_USE, day)
        count = 1 + random.poisson(_MORE_PURCHASES, len(victim))
        begin = np.repeat(random.uniform(0, _LATEST_START * DAY_MS, len(victim)), count)
        user = np.repeat(victim, count)
        time = begin + _since_first(count, random.exponential(_TAKEOVER_GAP_MS, len(user)))
        log = DayLog(
            time=time.astype(np.int64),
            user=user,
            merchant=random.integers(0, spec.merchants, len(user)),
            amount=self._population.mean_amount[user] * random.uniform(0.5, 3.0, len(user)),
            online=np.ones(len(user), dtype=bool),
            device=np.repeat(device, count),
            fraud=np.ones(len(user), dtype=bool),
        )
        return log.take(log.time < DAY_MS)

    def _struck_within(self, stream: Stream, day: int, days: int) -> Int64:
        """Those struck on this day or one of the ``days`` - 1 before it."""
        self._struck.pop((stream, day - days), None)
        return np.concatenate([self._struck_on(stream, start) for start in range(day - days + 1, day + 1)])

    def _struck_on(self, stream: Stream, day: int) -> Int64:
        """The merchants or users that a scenario strikes on this day, in proportion to how many there are."""
        if (stream, day) not in self._struck:
            spec = self._population.spec
            rate, among, population = {
                Stream.COMPROMISED_MERCHANTS: (_COMPROMISED_A_DAY, _AMONG_MERCHANTS, spec.merchants),
                Stream.LEAKED_CARDS: (_LEAKED_A_DAY, _AMONG_USERS, spec.users),
                Stream.TAKEOVERS: (spec.takeovers, _AMONG_USERS, spec.users),
            }[stream]
            random = generator(spec.seed, stream, day)
            whole, rest = divmod(rate * population / among, 1)
            count = min(int(whole) + (random.random() < rest), population)
            self._struck[stream, day] = random.choice(population, count, replace=False)
        return self._struck[stream, day]


def _since_first(count: Int64, gap: Float64) -> Float64:
    """Running sums of ``gap`` within groups of ``count`` consecutive entries, the first of each group at 0."""
    first = np.cumsum(count) - count
    running = np.cumsum(gap)
    since: Float64 = running - np.repeat(running[first], count)
    return since
