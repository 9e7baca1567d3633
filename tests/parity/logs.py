"""Logs of transactions and labels for the parity tests: what Hypothesis may draw, and long random ones of a given temper."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import strategies as st

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

START = 1_530_000_000_000  # 2018-06-26, no border of any hop
HOPS = (5 * SECOND, MINUTE, 30 * MINUTE, 3 * HOUR, 12 * HOUR)
LENGTHS = (5 * MINUTE, HOUR, 2 * HOUR, DAY, 7 * DAY, 8 * DAY, 14 * DAY, 30 * DAY, 37 * DAY)


@dataclass(frozen=True)
class Payment:
    """A transaction as the oracle and the kernel read it."""

    transaction_id: str
    event_time: int
    user_id: str
    merchant_id: str
    amount: int
    device_id: str | None = None


@dataclass(frozen=True)
class Chargeback:
    """A label; ``event_time`` is that of its transaction."""

    transaction_id: str
    event_time: int
    user_id: str
    merchant_id: str
    label_time: int
    is_fraud: bool

    @classmethod
    def of(cls, payment: Payment, label_time: int, is_fraud: bool) -> "Chargeback":
        return cls(payment.transaction_id, payment.event_time, payment.user_id, payment.merchant_id, label_time, is_fraud)


Record = Payment | Chargeback
Log = Sequence[Record]


def payments_of(log: Log) -> list[Payment]:
    """The transactions of a log, in its order."""
    return [record for record in log if isinstance(record, Payment)]


# What Hypothesis draws.


@st.composite
def moves(draw: st.DrawFn, now: int) -> int:
    """The next event time after one at ``now``: a tie, a step, a border of some hop to the millisecond, a jump back, or a long sleep."""
    kind = draw(st.sampled_from(["tie", "step", "gap", "border", "edge of window", "late", "sleep"]))
    if kind == "tie":
        return now
    if kind == "step":
        return now + draw(st.integers(1, 10 * MINUTE))
    if kind == "gap":
        return now + draw(st.integers(HOUR, 15 * DAY))
    if kind == "border":
        hop = draw(st.sampled_from(HOPS))
        return (now // hop + draw(st.integers(-2, 3))) * hop + draw(st.integers(-1, 1))
    if kind == "edge of window":
        hop, length = draw(st.sampled_from(HOPS)), draw(st.sampled_from(LENGTHS))
        return now // hop * hop + length + draw(st.sampled_from([-hop, 0, hop])) + draw(st.integers(-1, 1))
    if kind == "late":
        return now - draw(st.one_of(st.integers(1, HOUR), st.integers(HOUR, 50 * DAY)))
    return now + draw(st.integers(37 * DAY, 80 * DAY))


AMOUNTS = st.one_of(st.sampled_from([0, 1, 10**12, 10**12 - 1]), st.integers(0, 50_000), st.integers(0, 10**12))
KEYS = st.sampled_from(["a", "a", "a", "b", "c"])  # "a" is hot
DEVICES = st.one_of(st.none(), st.sampled_from([f"phone {n}" for n in range(11)]))


@st.composite
def payment_lists(draw: st.DrawFn, most: int = 30) -> list[Payment]:
    """Up to ``most`` transactions in the order of the log, in wild disorder by event time."""
    payments: list[Payment] = []
    now = START
    for n in range(draw(st.integers(1, most))):
        now = draw(moves(now))
        payments.append(Payment(f"t{n}", now, f"user {draw(KEYS)}", f"shop {draw(KEYS)}", draw(AMOUNTS), draw(DEVICES)))
    return payments


@st.composite
def logs(draw: st.DrawFn, most: int = 30) -> Log:
    """Transactions with labels anywhere among them: right, reversed, repeated, early, beyond every horizon, of unknown transactions, or
    such as name another event time or merchant than their transaction."""
    payments = draw(payment_lists(most))
    log: list[Record] = list(payments)
    for _ in range(draw(st.integers(0, most // 2))):
        payment = draw(st.sampled_from(payments))
        if draw(st.integers(0, 9)) == 0:
            ghost = draw(st.integers(-20, 20))
            payment = Payment(f"ghost {ghost}", START + ghost * DAY, "user a", "shop a", 0)
        label_time = payment.event_time + draw(st.sampled_from([0, 1, DAY, 7 * DAY, 8 * DAY, 60 * DAY]))
        if draw(st.integers(0, 3)) == 0:
            apart = draw(st.sampled_from([-1, 1, HOUR, -DAY, 20 * DAY, 60 * DAY, -60 * DAY]))
            payment = replace(payment, event_time=payment.event_time + apart, merchant_id=f"shop {draw(KEYS)}")
        log.insert(draw(st.integers(0, len(log))), Chargeback.of(payment, label_time, draw(st.booleans())))
    return log


@st.composite
def cut(draw: st.DrawFn, log: Log) -> list[Log]:
    """The log in batches of any size, empty ones among them."""
    cuts = sorted(draw(st.lists(st.integers(0, len(log)), max_size=6)))
    return [log[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(log)], strict=True)]


# Long ones: seeded, for what needs many events on one key.


@dataclass(frozen=True)
class Temper:
    """How a long log behaves: the log-uniform range of its steps in ms, how often it steps back, and how many keys there are."""

    name: str
    smallest_step: int
    largest_step: int
    late: float
    users: int
    merchants: int


TEMPERS = (
    Temper("burst on one key", 1, 20 * SECOND, 0.0, 1, 1),
    Temper("minutes", SECOND, HOUR, 0.05, 2, 3),
    Temper("every scale", 1, 5 * DAY, 0.1, 2, 2),
    Temper("mostly disorder", 1, 12 * HOUR, 0.5, 1, 2),
    Temper("long sleeps", MINUTE, 60 * DAY, 0.1, 2, 1),
)


def long_log(temper: Temper, seed: int, transactions: int) -> Log:
    """A log with labels for a tenth of its transactions, most of them about a week after, a few changed or repeated later."""
    rng = random.Random(f"{temper.name} {seed}")

    def span(smallest: int, largest: int) -> int:
        return int(math.exp(rng.uniform(math.log(smallest), math.log(largest))))

    now = START
    timeline: list[tuple[int, int, Record]] = []
    for n in range(transactions):
        now += span(temper.smallest_step, temper.largest_step)
        if rng.random() < 0.1:
            hop = rng.choice(HOPS)
            now = (now // hop + 1) * hop + rng.choice([-1, 0, 1])
        late = span(1, 60 * DAY) if rng.random() < temper.late else 0
        amount = rng.choice([0, 10**12, span(1, 10**6), span(1, 10**6), span(1, 10**6)])
        user, merchant = f"user {rng.randrange(temper.users)}", f"shop {rng.randrange(temper.merchants)}"
        device = rng.choice([None, *(f"phone {d}" for d in range(10))])
        payment = Payment(f"t{n}", now - late, user, merchant, amount, device)
        timeline.append((now, n, payment))
        while rng.random() < 0.1:
            known = now + span(HOUR, 20 * DAY)
            timeline.append((known, n, Chargeback.of(payment, known, rng.random() < 0.8)))
    return [record for _, _, record in sorted(timeline, key=lambda entry: entry[:2])]
