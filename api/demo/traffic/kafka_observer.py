"""Reads the decisions and dead letters as anybody outside would: a consumer of its own that sees committed records only."""

import threading
import time
from contextlib import suppress

import msgspec

from api.demo.traffic.tally import Tally
from features.errors import UserError
from streams.kafka.client import KafkaClients, Message, TopicPartition
from streams.messages.events import DeadLetter, Decision
from streams.messages.refusals import RefusedError, readable
from streams.messages.topics import DEAD_LETTERS, DECISIONS

_TIMEOUT_S = 15
_AT_ONCE = 2_000
_TOPICS = (DECISIONS.name, DEAD_LETTERS.name)


class Observer:
    """Reads, from a thread of its own, what is said after it was made. Raises UserError if the topics can't be reached."""

    def __init__(self, kafka: KafkaClients, tally: Tally) -> None:
        self._tally = tally
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._decision = msgspec.json.Decoder(Decision).decode
        self._dead_letter = msgspec.json.Decoder(DeadLetter).decode
        self._consumer = kafka.consumer(
            {
                "group.id": f"tidemark-demo-{tally.run}",  # never joined
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 100,
            }
        )
        self._consumer.assign([end for topic in _TOPICS for end in self._ends(topic)])
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread and the connection."""
        self._stopping.set()
        self._thread.join(5)
        self._consumer.close()

    def check(self) -> None:
        """Raises UserError if the topics can't be read any more, or whatever else has ended the thread."""
        if self._failure is not None:
            raise self._failure

    def _ends(self, topic: str) -> list[TopicPartition]:
        partitions = self._consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic].partitions
        found = []
        for partition in partitions:
            _, end = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_TIMEOUT_S)
            found.append(TopicPartition(topic, partition, end))
        return found

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                # poll returns with the first record; consume would wait until it had them all.
                first = self._consumer.poll(0.1)
                now = time.monotonic()
                if first is not None:
                    self._take(first, now)
                    for message in self._consumer.consume(_AT_ONCE, 0):
                        self._take(message, now)
        except BaseException as error:
            self._failure = error

    def _take(self, message: Message, now: float) -> None:
        error = message.error()
        if error is not None:
            raise UserError(f"the decisions can't be read from Kafka any more ({error.str()}); see `tidemark logs kafka`")
        # What others have written there is not of this run.
        with suppress(RefusedError):
            if message.topic() == DECISIONS.name:
                self._tally.take_decision(readable(message.value(), self._decision), now)
            else:
                self._tally.take_dead_letter(readable(message.value(), self._dead_letter), now)
