"""Sends a demo's offers: what warms the windows quickly, then the live ones each at its own time."""

import queue
import threading
import time
from collections.abc import Callable, Iterator

from api.demo.traffic.offers import Offer, Way
from api.demo.traffic.tally import Tally
from features.errors import UserError
from streams.kafka.client import KafkaClients, KafkaError, Message
from streams.messages.headers import label_header
from streams.messages.partitioner import PRODUCER_SETTING
from streams.messages.seal import Seal
from streams.messages.topics import TRANSACTIONS

# As quick as two cores keep up with: at full speed the partitions would drift weeks of event time apart, and merchants see them mixed.
WARMING_RATE = 8_000.0
_LEAD_S = 0.25
_NAP_S = 0.002
_LOOK_S = 0.02
_FIRST = 64
_POLL_EVERY = 64
_READY_AHEAD = 8_192
_SETTINGS: dict[str, str | int | bool] = {
    **PRODUCER_SETTING,
    "enable.idempotence": True,
    "compression.type": "lz4",
    "linger.ms": 5,
    "queue.buffering.max.messages": 200_000,
    "message.timeout.ms": 60_000,
}


class Sender:
    """Sends from a thread of its own. The load is open: when a record is due is settled beforehand and does not move when one is late."""

    def __init__(
        self, kafka: KafkaClients, seal: Seal, offers: Iterator[Offer], tally: Tally, rate: float, by_api: Callable[[Offer, float], None]
    ) -> None:
        """``seal`` makes labels count; ``rate`` is live transactions a second; ``by_api`` takes those that go through the API, with the
        time they are due."""
        self._producer = kafka.producer(_SETTINGS)
        self._seal = seal
        self._offers = offers
        self._tally = tally
        self._rate = rate
        self._by_api = by_api
        self._stopping = threading.Event()
        self._ready: queue.Queue[Offer | None] = queue.Queue(_READY_AHEAD)
        self._failure: BaseException | None = None
        self.transactions = 0  # handed over, to the broker or the API
        self.live_since: float | None = None  # monotonic, seconds
        self.done = threading.Event()
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), name=name, daemon=True)
            for name, work in (("simulation", self._simulate), ("sender", self._send))
        ]

    def start(self) -> None:
        """Begins to send."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float) -> None:
        """Sends nothing more and waits, so many seconds at most, until what was sent is acknowledged."""
        self._stopping.set()
        self.done.wait(timeout)

    def check(self) -> None:
        """Raises UserError if a record was not delivered, or whatever else has ended the threads."""
        if self._failure is not None:
            raise self._failure

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self._failure = self._failure or error
            self._stopping.set()

    def _simulate(self) -> None:
        """Ahead of the sending, which a simulated piece would hold up for a tenth of a second."""
        for offer in self._offers:
            self._hand_on(offer)
            if self._stopping.is_set():
                return
        self._hand_on(None)

    def _hand_on(self, offer: Offer | None) -> None:
        while not self._stopping.is_set():
            try:
                self._ready.put(offer, timeout=0.1)
            except queue.Full:
                continue
            return

    def _next(self) -> Offer | None:
        while not self._stopping.is_set():
            try:
                return self._ready.get(timeout=0.1)
            except queue.Empty:
                self._producer.poll(0)
        return None

    def _send(self) -> None:
        start, rate, before, handed_over = time.monotonic(), WARMING_RATE, 0, 0
        recovered = False
        while (offer := self._next()) is not None:
            if self.transactions == _FIRST and not recovered:
                # Stages that had an earlier run's state to recover first keep up from here on.
                self._catch_up()
                recovered, start, before = True, time.monotonic(), self.transactions
            if offer.live and self.live_since is None:
                self._catch_up()
                self.live_since = start = time.monotonic() + _LEAD_S
                rate, before = self._rate, self.transactions
            due = start + (self.transactions - before) / rate
            self._wait_until(due)
            if self._stopping.is_set():
                break
            self._offer(offer, due)
            self.transactions += offer.way is not Way.LABEL
            handed_over += 1
            if handed_over % _POLL_EVERY == 0:
                self._producer.poll(0)
        self._flush()
        self.done.set()

    def _catch_up(self) -> None:
        """Waits until all that was sent is decided."""
        self._flush()
        while self._tally.outstanding > 0 and not self._stopping.wait(_LOOK_S):
            pass

    def _flush(self) -> None:
        while self._producer.flush(0.5) and self._failure is None:
            pass

    def _wait_until(self, due: float) -> None:
        while (left := due - time.monotonic()) > 0 and not self._stopping.is_set():
            self._producer.poll(0)
            time.sleep(min(left, _NAP_S))

    def _offer(self, offer: Offer, due: float) -> None:
        if offer.way in (Way.TOPIC, Way.API):
            self._tally.expect(offer, due)
        if offer.way is Way.API:
            self._by_api(offer, due)
            return
        key = offer.user_id.encode()
        headers: list[tuple[str, str | bytes | None]] = [label_header(self._seal, key, offer.value)] if offer.way is Way.LABEL else []

        def report(error: KafkaError | None, _message: Message) -> None:
            if error is None:
                self._tally.acknowledged(offer.way)
            elif self._failure is None:
                self._failure = UserError(f"Kafka did not take a record ({error.str()}); see `tidemark logs kafka`")
                self._stopping.set()

        while not self._stopping.is_set():
            try:
                self._producer.produce(TRANSACTIONS.name, offer.value, key, headers=headers, on_delivery=report)
            except BufferError:
                self._producer.poll(0.05)
            else:
                return
