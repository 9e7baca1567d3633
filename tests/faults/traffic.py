"""Traffic with everything in it: duplicates, conflicts, disorder, poison, labels before and after their transactions. Seeded."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

import msgspec
from confluent_kafka import Producer

from features.definitions import DAY, MINUTE
from streams.messages.headers import label_header
from streams.messages.partitioner import PRODUCER_SETTING
from streams.messages.seal import Seal
from streams.messages.topics import LABELS, TRANSACTIONS

# So long ago that months of silence can be put in between without running into the future.
_START = 1_260_000_000_000
_STEP_MS = 2_000
_QUIET_EVERY, _QUIET_MS = 2_000, 4 * DAY
_RARE = 0.05
_TICK_S = 0.02
_POISON = (b"{", b"", b"[]", b"null", b'{"amount":-1}', b"\xff\xfe", b'{"transaction_id":"p"}')


class Message(NamedTuple):
    """One record to send."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


class Traffic:
    """An endless, seeded sequence of records.

    Event time goes on by two seconds a transaction, and now and then by days, so that windows of weeks roll and keys become idle: besides
    users and merchants who are seen all the time there are some who come once, or again after months.
    """

    def __init__(self, seed: int, seal: Seal, users: int = 3_000, merchants: int = 600) -> None:
        self._random = Random(seed)
        self._users, self._merchants = users, merchants
        self._seal = seal
        self._recent: deque[dict[str, object]] = deque(maxlen=20_000)
        self._held_back: list[dict[str, object]] = []
        self._number = 0
        self._poison_left = 0

    def __iter__(self) -> Iterator[Message]:
        while True:
            yield from self._next()

    def _next(self) -> Iterator[Message]:
        random = self._random
        if self._poison_left:
            self._poison_left -= 1
            user = f"u{random.randrange(self._users)}"
            yield Message(TRANSACTIONS.name, user.encode(), random.choice(_POISON), [])
            return
        chance = random.random()
        if chance < 0.0005:
            self._poison_left = random.randrange(5, 60)
        elif chance < 0.05 and self._recent:
            yield _transaction(self._lately())
        elif chance < 0.055 and self._recent:
            yield _transaction({**self._lately(), "amount": random.randrange(10**6)})
        elif chance < 0.08 and self._recent:
            yield self._label(self._lately(), is_fraud=random.random() < 0.8)
        elif chance < 0.085:
            # Its label comes first, and some of them straight onto the user's log.
            ahead = self._made()
            yield self._label(ahead, is_fraud=True)
            self._held_back.append(ahead)
        elif chance < 0.09 and self._held_back:
            yield _transaction(self._held_back.pop(0))
        else:
            yield _transaction(self._made())

    def _lately(self) -> dict[str, object]:
        # Most repetitions follow at once, some much later.
        back = int(len(self._recent) * self._random.random() ** 4)
        return self._recent[-1 - min(back, len(self._recent) - 1)]

    def _made(self) -> dict[str, object]:
        random = self._random
        self._number += 1
        late = random.randrange(10 * MINUTE) if random.random() < 0.1 else 0
        made: dict[str, object] = {
            "transaction_id": f"t{self._number}",
            "event_time": _START + self._number * _STEP_MS + self._number // _QUIET_EVERY * _QUIET_MS - late,
            "user_id": self._rare("u") or f"u{int(self._users * random.random() ** 2)}",
            "merchant_id": self._rare("m") or f"m{int(self._merchants * random.random() ** 2)}",
            "amount": random.randrange(100_000),
            "currency": "EUR",
        }
        self._recent.append(made)
        return made

    def _rare(self, kind: str) -> str:
        """One that is seldom seen, mostly none."""
        if self._random.random() >= _RARE:
            return ""
        return f"rare-{kind}{self._random.randrange(int(_RARE * self._number) + 1)}"

    def _label(self, of: dict[str, object], is_fraud: bool) -> Message:
        keep = {name: of[name] for name in ("transaction_id", "user_id", "merchant_id", "event_time")}
        label_time = int(str(of["event_time"])) + self._random.randrange(1, 9) * DAY
        if self._random.random() < 0.1:
            # Acts where the first label of the transaction did all the same.
            keep |= {"event_time": int(str(of["event_time"])) + 1, "merchant_id": str(self._recent[-1]["merchant_id"])}
        value = msgspec.json.encode({**keep, "label_time": label_time, "is_fraud": is_fraud})
        key = str(of["user_id"]).encode()
        if self._random.random() < 0.5:
            return Message(LABELS.name, key, value, [])
        return Message(TRANSACTIONS.name, key, value, [label_header(self._seal, key, value)])


def _transaction(made: dict[str, object]) -> Message:
    return Message(TRANSACTIONS.name, str(made["user_id"]).encode(), msgspec.json.encode(made), [])


class Sender:
    """Sends traffic from a thread at ``rate`` records a second, which may be changed; ``sent`` counts them."""

    def __init__(self, kafka: str, seed: int, seal: Seal, rate: float) -> None:
        self.rate = rate
        self.sent = 0
        self._traffic = iter(Traffic(seed, seal))
        self._failed: list[str] = []
        self._producer = Producer(
            {"bootstrap.servers": kafka, "enable.idempotence": True, "delivery.timeout.ms": 300_000, "linger.ms": 5, **PRODUCER_SETTING}
        )
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    def __enter__(self) -> "Sender":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends the traffic and waits until the broker has all of it."""
        self._stopping.set()
        self._thread.join()
        left = self._producer.flush(120)
        assert left == 0, f"{left} records are not acknowledged"
        assert not self._failed, self._failed[:3]

    def burst(self, count: int) -> None:
        """Sends so many at once, besides."""
        for _ in range(count):
            self._send_next()

    def _send_next(self) -> None:
        with self._lock:
            message = next(self._traffic)
        self.send(message)

    def _run(self) -> None:
        owed, last = 0.0, time.monotonic()
        while not self._stopping.wait(_TICK_S):
            now = time.monotonic()
            owed, last = owed + self.rate * (now - last), now
            for _ in range(int(owed)):
                self._send_next()
            owed -= int(owed)

    def send(self, message: Message) -> None:
        """Sends one more."""
        while True:
            try:
                self._producer.produce(message.topic, message.value, message.key, headers=list(message.headers), on_delivery=self._report)
                break
            except BufferError:
                self._producer.poll(0.1)
        self.sent += 1
        self._producer.poll(0)

    def _report(self, error: object, _message: object) -> None:
        if error is not None:
            self._failed.append(str(error))
