"""How much is simulated for a demo: users, days of history to learn from, transactions to warm the windows with, and to send live."""

import msgspec

from features.errors import UserError
from streams.simulate import SimulationSpec
from streams.simulate.spec import DAY_MS

LABELS_AFTER_MS = 7 * DAY_MS
# The longest window, 30 d, as it was before the longest delay of a label.
WARM_DAYS = 37
FEWEST = 100

_WARM_SHARE = 0.7
_FEWEST_USERS, _MOST_USERS = 100, 2_000
_MERCHANTS_A_USER = 2
# The simulation's two purchases, less those that it puts outside the day.
_A_USER_AND_DAY = 1.94
# Users differ, so a small population may buy less than the average.
_MARGIN = 1.4
_ENDLESS_DAYS = 3 * 365
_LEARN_FROM = 70_000
_FEWEST_LEARNING_DAYS, _MOST_LEARNING_DAYS = 21, 300
# Rows simulated at once: quick enough to be ready before the last ones are sent.
_ROWS_AT_ONCE = 4_000
_SEED = 0


class World(msgspec.Struct, frozen=True, kw_only=True):
    """One run's simulated world. Times are ms UTC.

    From the midnight ``begin_ms`` on its transactions are streamed, none later than ``present_ms``: the first ``warming`` of them fast, to
    fill the windows, then ``live`` of them paced (None: up to the present). ``learning_days`` lie before, for training.
    """

    users: int
    begin_ms: int
    present_ms: int
    warming: int
    live: int | None
    learning_days: int

    @property
    def transactions(self) -> int | None:
        """How many are sent in all, None if that is open."""
        return None if self.live is None else self.warming + self.live

    @property
    def a_day(self) -> float:
        """Transactions a day, on average."""
        return self.users * _A_USER_AND_DAY

    @property
    def days_at_once(self) -> int:
        """Days that are simulated in one piece of the stream."""
        return max(1, int(_ROWS_AT_ONCE / self.a_day))

    def simulation(self, begin_ms: int, days: int) -> SimulationSpec:
        """These days (from a midnight on) of this world; a day is the same whichever days it is simulated with."""
        return SimulationSpec(_SEED, self.users, _MERCHANTS_A_USER * self.users, begin_ms, days)


def world(transactions: int | None, present_ms: int) -> World:
    """The world for a run of so many transactions (None: until it is stopped) at the time ``present_ms`` (ms UTC).

    A small run has few users, so that the windows of those it has are warm. Raises UserError for fewer than 100 transactions.
    """
    today = present_ms // DAY_MS * DAY_MS
    if transactions is None:
        users = _MOST_USERS
        warming, live, days = int(users * _A_USER_AND_DAY * WARM_DAYS), None, _ENDLESS_DAYS
    else:
        if transactions < FEWEST:
            raise UserError(f"--transactions {transactions} is too few to show anything; use at least {FEWEST}")
        users = min(_MOST_USERS, max(_FEWEST_USERS, int(_WARM_SHARE * transactions / (WARM_DAYS * _A_USER_AND_DAY))))
        warming = min(int(_WARM_SHARE * transactions), int(users * _A_USER_AND_DAY * WARM_DAYS))
        live = transactions - warming
        days = int(_MARGIN * transactions / (users * _A_USER_AND_DAY)) + 2
    learning = int(_LEARN_FROM / (users * _A_USER_AND_DAY))
    return World(
        users=users,
        begin_ms=today - days * DAY_MS,
        present_ms=present_ms,
        warming=warming,
        live=live,
        learning_days=WARM_DAYS + min(_MOST_LEARNING_DAYS, max(_FEWEST_LEARNING_DAYS, learning)),
    )
