"""A stock Faust agent, as Faust's documentation shows one, with the user features of fraud_v1 in plain Python."""

import os
import sys
from collections import defaultdict, deque
from datetime import UTC, datetime

import faust

BOOTSTRAP, SOURCE, TARGET, GROUP = (os.environ[name] for name in ("BOOTSTRAP", "SOURCE", "TARGET", "GROUP"))

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
WINDOWS = {"5m": 5 * MINUTE, "1h": HOUR, "24h": DAY, "7d": 7 * DAY, "14d": 14 * DAY, "30d": 30 * DAY}


class Window:
    """Count and sum of the amounts of the last ``length`` ms."""

    def __init__(self, length):
        self.length = length
        self.events = deque()
        self.total = 0

    def advance(self, now):
        while self.events and self.events[0][0] < now - self.length:
            self.total -= self.events.popleft()[1]

    def add(self, event):
        self.events.append(event)
        self.total += event[1]


class User:
    def __init__(self):
        self.windows = {name: Window(length) for name, length in WINDOWS.items()}
        self.first_time = self.last_time = self.last_amount = None

    def features(self, now, amount):
        """What is known before the transaction."""
        at = datetime.fromtimestamp(now / 1000, UTC)
        found = {"amount": amount, "hour": at.hour, "weekday": at.weekday(), "night": at.hour < 6, "weekend": at.weekday() >= 5}
        for name, window in self.windows.items():
            window.advance(now)
            count = len(window.events)
            mean = window.total / count if count else None
            found[f"tx_count_{name}"] = count
            found[f"mean_amount_{name}"] = mean
            found[f"amount_ratio_{name}"] = amount / mean if mean else None
        known = self.last_time is not None
        found["seconds_since_last"] = (now - self.last_time) / 1000 if known else None
        found["age_seconds"] = (now - self.first_time) / 1000 if known else None
        found["last_amount"] = self.last_amount
        return found

    def add(self, now, amount):
        event = (now, amount)
        for window in self.windows.values():
            window.add(event)
        if self.first_time is None:
            self.first_time = now
        self.last_time, self.last_amount = now, amount


app = faust.App(
    GROUP,
    broker=f"kafka://{BOOTSTRAP}",
    value_serializer="json",
    consumer_auto_offset_reset="earliest",
    producer_linger_ms=20,  # by default each record is a request of its own
    producer_compression_type="lz4",
)
source = app.topic(SOURCE)
target = app.topic(TARGET, key_type=str, key_serializer="raw")
users = defaultdict(User)


@app.agent(source)
async def features_of(transactions):
    async for transaction in transactions:
        if "amount" not in transaction:  # a label
            continue
        user_id, now, amount = transaction["user_id"], transaction["event_time"], transaction["amount"]
        user = users[user_id]
        found = user.features(now, amount)
        user.add(now, amount)
        # A model would take all of `found` here; what is sent is no larger than what the other peers send.
        await target.send(
            key=user_id,
            value={
                "transaction_id": transaction["transaction_id"],
                "tx_count_24h": found["tx_count_24h"],
                "mean_amount_24h": found["mean_amount_24h"],
            },
        )


if __name__ == "__main__":
    sys.argv[1:] = ["worker", "--without-web", "--loglevel", "warn"]
    app.main()
