"""Producers that never guess: a record that wasn't delivered ends the epoch of whoever sent it."""

import logging
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from streams.kafka.client import KafkaClients, KafkaError, KafkaException, Message
from streams.kafka.positions import Positions, signed
from streams.messages.partitioner import PRODUCER_SETTING

logger = logging.getLogger(__name__)

_FLUSH_S = 30
_CLOSE_S = 2
_MOST_QUEUED = 500_000
_BASE: dict[str, str | int | float | bool] = {
    **PRODUCER_SETTING,
    "enable.idempotence": True,
    "compression.type": "lz4",
    "linger.ms": 2,
    "batch.size": 1_000_000,
    "message.max.bytes": 8 << 20,
    "queue.buffering.max.messages": _MOST_QUEUED,
    "delivery.report.only.error": True,
    # What it retries is no news, what it gives up is raised.
    "log_level": 3,
}


# A transaction is begun when its outputs are there, and is over within some ten milliseconds. One that was left open by a killed process
# keeps readers waiting, and the partitions' next owner, so it should be gone when that takes over.
_TRANSACTION_MS = 6_000


@dataclass(frozen=True)
class Membership:
    """A member of a consumer group in one generation: what a commit within a transaction is refused by, once that is over."""

    group: str
    generation: int
    member_id: str

    def to_bytes(self) -> bytes:
        """As librdkafka's ``rd_kafka_consumer_group_metadata_write`` has it (format 2), for the member is Faust's consumer, not its own."""
        return b"CGMDv2:" + struct.pack("=i", self.generation) + self.group.encode() + b"\0" + self.member_id.encode() + b"\0\1"


class DeliveryError(Exception):
    """A record was not delivered, or it is unknown whether it was; start over from what is committed."""


class StageProducer:
    """An idempotent producer, transactional if given an id."""

    def __init__(self, kafka: KafkaClients, transactional_id: str | None = None) -> None:
        settings: dict[str, str | int | float | bool] = dict(_BASE)
        if transactional_id is None:
            # Nothing may follow a record that was refused: of another source, it would stand where it doesn't belong. A turn's records are
            # queued within less than the linger; a transaction's commit doesn't wait for that.
            settings |= {"enable.gapless.guarantee": True, "linger.ms": 0.3}
        else:
            # The coordinator refuses a transaction that begins within some milliseconds of the last one's end; what is tried again a
            # millisecond later loses little, and in an outage the wait doubles each time.
            settings |= {"transactional.id": transactional_id, "transaction.timeout.ms": _TRANSACTION_MS, "retry.backoff.ms": 1}
            # Once brokers were away and it has looked for others, it waits for ever for the group's coordinator, which it has thrown away
            # (confluentinc/librdkafka#5511). Where all have other addresses by then, the stage starts over within 15 s.
            settings |= {"metadata.recovery.strategy": "none"}
        self._producer = kafka.producer(settings)
        self._failure: KafkaError | None = None
        self._in_transaction = False

    def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        partition: int = -1,
        headers: Sequence[tuple[str, str | bytes | None]] | None = None,
    ) -> None:
        """Queues a record; waits while the queue is full. Raises DeliveryError if an earlier one failed."""
        while True:
            try:
                self._producer.produce(
                    topic, value, key, partition, on_delivery=self._delivered, headers=list(headers) if headers else None
                )
                return
            except BufferError:
                self._producer.poll(0.1)
                self._raise_failure()

    def send_all(self, topic: str, messages: Sequence[tuple[bytes, bytes]]) -> None:
        """Queues (key, value) pairs, placed by their keys; as ``send``, with less to do for each."""
        if len(self._producer) + len(messages) > _MOST_QUEUED:
            for key, value in messages:
                self.send(topic, value, key)
            return
        batch: list[dict[str, Any]] = [{"key": key, "value": value} for key, value in messages]
        if self._producer.produce_batch(topic, batch, on_delivery=self._delivered) < len(batch):
            error = next(message["_error"] for message in batch if "_error" in message)
            raise DeliveryError(f"Kafka's client did not take a record: {error}")

    def flush(self) -> None:
        """Returns once all that was sent is acknowledged. Raises DeliveryError if it isn't within 30 s, or was refused."""
        if self._producer.flush(_FLUSH_S):
            waited = KafkaError(KafkaError._TIMED_OUT, f"not all records were acknowledged within {_FLUSH_S} s")
            raise DeliveryError(f"Kafka did not acknowledge all records within {_FLUSH_S} s; check the broker") from KafkaException(waited)
        self._raise_failure()

    def fence(self) -> None:
        """Shuts out any other producer of this transactional id and ends what it left open."""
        self._producer.init_transactions(_FLUSH_S)

    def begin(self) -> None:
        """Begins a transaction."""
        self._producer.begin_transaction()
        self._in_transaction = True

    def add_positions(self, topic: str, positions: Positions, membership: Membership) -> None:
        """Makes the group's positions (next offsets, by partition) in ``topic`` part of the transaction.

        Raises KafkaException if the membership is a former one.
        """
        self._producer.send_offsets_to_transaction(signed(topic, positions), membership.to_bytes(), _FLUSH_S)

    def commit(self) -> None:
        """Commits the transaction. Raises KafkaException if it did not, or it is unknown, DeliveryError if a record was refused."""
        self._producer.commit_transaction(_FLUSH_S)
        self._in_transaction = False
        self._raise_failure()

    def close(self) -> None:
        """Forgets what is unsent and gives up an open transaction, so that nobody has to wait for its end."""
        try:
            self._producer.purge(in_flight=False)
            if self._in_transaction:
                self._producer.abort_transaction(_CLOSE_S)
            self._producer.flush(_CLOSE_S)
        except KafkaException as error:
            # A fenced producer can do nothing any more; the broker ends its transaction.
            logger.info("closing a producer: %s", error)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None and self._failure is None:
            self._failure = error

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise DeliveryError(f"Kafka refused a record: {self._failure.str()}") from KafkaException(self._failure)
