"""Who pays where: users and merchants in a plane of 100 × 100, and which merchants lie within a user's reach."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from features.arrays import Float64, Int64
from streams.simulate.spec import SimulationSpec, Stream, generator

_PLANE = 100.0
_RADIUS = 5.0
_USERS_AT_ONCE = 256
_MOVED_SHARE = 0.4

MOST_DEVICES = 3
COUNTRIES = ("FR", "DE", "ES", "IT")  # the quarters of the plane
# Merchant category codes (ISO 18245) and their shares.
MCCS = ("5411", "5812", "5814", "5541", "5912", "5311", "5651", "5732", "4111", "5999", "7011", "5944")
_MCC_SHARES = (0.22, 0.16, 0.12, 0.10, 0.08, 0.07, 0.07, 0.05, 0.05, 0.04, 0.03, 0.01)


@dataclass(frozen=True)
class Reach:
    """The merchants each user pays at: those of user u are ``merchants[offsets[u]:offsets[u + 1]]``, at least one."""

    offsets: Int64
    merchants: Int64

    def pick(self, user: Int64, at: Float64) -> Int64:
        """A merchant for each purchase of ``user``, by a uniform number ``at`` in [0, 1)."""
        first = self.offsets[user]
        return self.merchants[first + (at * (self.offsets[user + 1] - first)).astype(np.int64)]


@dataclass(frozen=True)
class Population:
    """Users and merchants by number. Amounts are major units; ``country`` and ``mcc`` index COUNTRIES and MCCS."""

    spec: SimulationSpec
    user_place: Float64
    mean_amount: Float64
    purchases_a_day: Float64
    online_share: Float64
    devices: Int64
    merchant_place: Float64
    country: Int64
    mcc: Int64

    @cached_property
    def reach(self) -> Reach:
        """Who pays where before the drift."""
        return within_reach(self.user_place, self.merchant_place)

    @cached_property
    def reach_after_drift(self) -> Reach:
        """Who pays where after it: many have moved."""
        random = generator(self.spec.seed, Stream.MOVES)
        moved = random.random(self.spec.users) < _MOVED_SHARE
        new_place = random.uniform(0, _PLANE, (self.spec.users, 2))
        return within_reach(np.where(moved[:, None], new_place, self.user_place), self.merchant_place)


def populate(spec: SimulationSpec) -> Population:
    """The users and merchants of a simulation; they depend on its seed and their numbers only (handbook, sections 3.1 and 3.2)."""
    random = generator(spec.seed, Stream.USERS)
    user_place = random.uniform(0, _PLANE, (spec.users, 2))
    mean_amount = random.uniform(5, 100, spec.users)
    purchases_a_day = random.uniform(0, 4, spec.users)
    online_share = random.uniform(0.1, 0.6, spec.users)
    devices = random.integers(1, MOST_DEVICES + 1, spec.users)
    random = generator(spec.seed, Stream.MERCHANTS)
    merchant_place = random.uniform(0, _PLANE, (spec.merchants, 2))
    mcc = random.choice(len(MCCS), spec.merchants, p=_MCC_SHARES)
    east, north = (merchant_place > _PLANE / 2).T
    return Population(
        spec, user_place, mean_amount, purchases_a_day, online_share, devices, merchant_place, east + 2 * north.astype(np.int64), mcc
    )


def within_reach(user_place: Float64, merchant_place: Float64) -> Reach:
    """The merchants within 5 of each user; the nearest one for a user who has none so near. Places are (x, y) rows."""
    by_x = np.argsort(merchant_place[:, 0], kind="stable")
    merchant_x = merchant_place[by_x, 0]
    pairs: list[tuple[Int64, Int64]] = []
    users = np.argsort(user_place[:, 0], kind="stable")
    for begin in range(0, len(users), _USERS_AT_ONCE):
        # Neighbours in x, so that only a strip of the merchants comes into question.
        user = users[begin : begin + _USERS_AT_ONCE]
        place = user_place[user]
        low, high = np.searchsorted(merchant_x, [place[0, 0] - _RADIUS, place[-1, 0] + _RADIUS])
        near, merchant = np.nonzero(_squared_distance(place, merchant_place[by_x[low:high]]) <= _RADIUS**2)
        pairs.append((user[near], by_x[low + merchant]))
        alone = user[np.bincount(near, minlength=len(user)) == 0]
        pairs += [(alone[one : one + 1], _nearest(user_place[alone[one]], merchant_place)) for one in range(len(alone))]
    user = np.concatenate([pair[0] for pair in pairs])
    merchant = np.concatenate([pair[1] for pair in pairs])
    order = np.lexsort((merchant, user))
    return Reach(np.searchsorted(user[order], np.arange(len(user_place) + 1)), merchant[order])


def _nearest(place: Float64, merchant_place: Float64) -> Int64:
    return np.atleast_1d(_squared_distance(place[None], merchant_place).argmin())


def _squared_distance(some: Float64, others: Float64) -> Float64:
    x = some[:, 0, None] - others[None, :, 0]
    y = some[:, 1, None] - others[None, :, 1]
    return x * x + y * y
