"""Faust's Kafka transport, but in batches: an agent gets one event per fetch, whose value is the lists of its records by partition.

Faust's cost is per message, in its event loop. This hands it one message where it would have had thousands, and takes from it what it
can't do safely: acknowledging and committing are the stages' own (``streams/partitions.py``), so Faust never commits an offset.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, ClassVar, cast

import aiokafka
import faust
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, server_list
from faust.transport.drivers.aiokafka import Consumer as KafkaConsumer
from faust.transport.drivers.aiokafka import Transport as KafkaTransport
from faust.types import TP, ConsumerMessage, Message

from streams.kafka_producer import Membership

SCHEME = "batches"

_FETCH_BYTES = 4 << 20
# A fetch that would bring less than this waits for more.
_WORTHWHILE_BYTES = 256 << 10


class BatchesApp(faust.App):
    """A Faust app whose consumer waits up to ``fetch_wait`` seconds for a fetch that is worth its while.

    The broker answers for all partitions at once. So at low rates this wait is what gathers a batch, and partitions work in step.
    """

    fetch_wait: float = 0.05

    def _create_directories(self) -> None:
        """None: Faust's are for its tables, of which we have none, and it would make them wherever the worker was started."""


class ConsumerThread(AIOKafkaConsumerThread):
    """Runs an aiokafka consumer that reads committed records only."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        conf = self.app.conf
        # Faust looks at this after a rebalance.
        self._assignor = RoundRobinPartitionAssignor
        return aiokafka.AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            bootstrap_servers=server_list(transport.url, transport.default_port),
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_poll_records=conf.broker_max_poll_records,
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            max_partition_fetch_bytes=_FETCH_BYTES,
            fetch_max_bytes=4 * _FETCH_BYTES,
            fetch_min_bytes=_WORTHWHILE_BYTES,
            fetch_max_wait_ms=int(cast(BatchesApp, self.app).fetch_wait * 1000),
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
        )

    async def commit_positions(self, topic: str, positions: Mapping[int, int]) -> None:
        """Commits the next offsets to read as a member of the group, so that a stalled former owner is refused."""
        offsets = {TopicPartition(topic, partition): OffsetAndMetadata(position, "") for partition, position in positions.items()}
        await self.call_thread(self._ensure_consumer().commit, offsets)

    def membership(self) -> Membership:
        """Who we are in the group's present generation."""
        coordinator = self._ensure_consumer()._coordinator
        return Membership(self.app.conf.id, coordinator.generation, coordinator.member_id)


class Consumer(KafkaConsumer):
    """Yields one message per fetch and leaves positions to the stages."""

    _thread: ConsumerThread

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """Fetches records; all come as one message of the topic, its value the lists of aiokafka's records by partition."""
        records, active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if records is None or self.should_stop:
            return
        if not self.flow_active:
            await self.perform_seek()
            return
        fetched = {tp: batch for tp, batch in records.items() if batch and (active is None or tp in active)}
        if fetched:
            carrier, message = self._batch_message(fetched, generation)
            # Faust would leave out what it thinks it has read; a carrier's position says nothing of the other partitions.
            self._read_offset[carrier] = None
            yield carrier, message

    @staticmethod
    def _batch_message(fetched: Mapping[TP, list[Any]], generation: int) -> tuple[TP, ConsumerMessage]:
        carrier, batch = next(iter(fetched.items()))
        last = batch[-1]
        return carrier, ConsumerMessage(
            last.topic,
            last.partition,
            last.offset,
            last.timestamp / 1000.0,
            last.timestamp_type,
            [],
            None,
            {tp.partition: read for tp, read in fetched.items()},  # type: ignore[arg-type]
            None,
            0,
            0,
            carrier,
            generation_id=generation,
        )

    def on_buffer_full(self, tp: TP) -> None:
        """Does nothing: Faust would stop fetching the one partition. A full buffer makes the fetcher wait, for all."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Does nothing, as ``on_buffer_full``."""

    async def commit_positions(self, topic: str, positions: Mapping[int, int]) -> None:
        """Commits a stage's positions (the next offsets to read). Raises aiokafka's CommitFailedError if a partition is ours no more."""
        await self._thread.commit_positions(topic, positions)

    def membership(self) -> Membership:
        """Who we are in the group's present generation."""
        return self._thread.membership()

    def ack(self, message: Message) -> bool:
        """Only forgets the message: a stage acknowledges by committing its position."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    async def commit(self, topics: Iterable[Any] | None = None, start_new_transaction: bool = True) -> bool:
        """Does nothing; see ``commit_positions``."""
        return False

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        return False

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Faust would note every offset of a batch as a gap in its acknowledgements; there are none to keep."""
        await asyncio.sleep(0)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's watchdog looks at its own commits, of which there are none."""


class Transport(KafkaTransport):
    """Serves ``batches://host:port`` URLs."""

    Consumer: ClassVar[type[Consumer]] = Consumer
