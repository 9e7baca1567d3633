"""Faust's Kafka transport, but in batches: an agent gets one event per fetch, whose value is the lists of its records by partition.

Faust's cost is per message, in its event loop. This hands it one message where it would have had thousands, and takes from it what it
can't do safely: acknowledging and committing are the stages' own (``streams/workers/partitions.py``), so Faust never commits an offset. Its
consumer, aiokafka's, is the group's member and knows the positions; the records come from a ``PartitionReader``.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, cast

import aiokafka
import faust
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, ensure_aiokafka_TP
from faust.transport.drivers.aiokafka import Consumer as KafkaConsumer
from faust.transport.drivers.aiokafka import Producer as KafkaProducer
from faust.transport.drivers.aiokafka import Transport as KafkaTransport
from faust.types import TP, ConsumerMessage, Message

from features.errors import UserError
from streams.kafka.client import KafkaClients
from streams.kafka.positions import terminated_signature
from streams.kafka.producer import Membership
from streams.kafka.reader import Fetching, PartitionReader
from streams.messages.record import LogRecord

SCHEME = "batches"

# So long a rebalance may have to wait for a fetch.
_MOST_WAIT_S = 0.2
_UNSETTLED_S = 0.01
_CREATE_TIME = 0


class BatchesApp(faust.App):
    """A Faust app connecting as ``kafka`` says, whose consumer reads as ``fetching`` says; ``idle`` is set while no turn is under way, and
    ``fail`` is called if the log doesn't have what is to be read.

    The broker answers for all partitions at once. So at low rates its wait is what gathers a batch, and partitions work in step.
    """

    kafka: KafkaClients
    fetching: Fetching
    idle: threading.Event
    fail: Callable[[BaseException], None]

    def _create_directories(self) -> None:
        """None: Faust's are for its tables, of which we have none, and it would make them wherever the worker was started."""


class ConsumerThread(AIOKafkaConsumerThread):
    """Runs an aiokafka consumer, of which all partitions are paused, and reads from its positions on."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="reader")
        self._reader: PartitionReader | None = None
        self.read_in = 0

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        conf = self.app.conf
        # Faust looks at this after a rebalance.
        self._assignor = RoundRobinPartitionAssignor
        return aiokafka.AIOKafkaConsumer(
            **cast(BatchesApp, self.app).kafka.aiokafka_options(),
            group_id=conf.id,
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            # Before it is paused it may fetch once.
            max_partition_fetch_bytes=1,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
        )

    async def getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        """The next records of these partitions, in lists by partition; nothing if none come within some time."""
        active = active_partitions or set()
        return await asyncio.get_running_loop().run_in_executor(self._reading, self._read, active, min(timeout, _MOST_WAIT_S))

    def _read(self, active: set[TP], timeout: float) -> dict[TP, list[LogRecord]]:
        """Runs beside aiokafka's thread. What was read while a rebalance began is dropped; the next read begins at what is committed. So
        positions move on only in the assignment that they were read for, and ``read_in`` is its generation."""
        consumer, generation = self._ensure_consumer(), self.app.consumer_generation_id
        subscription = consumer._subscription.subscription
        assignment = None if subscription is None else subscription.assignment
        if not self.consumer.flow_active or assignment is None or not assignment.active:
            time.sleep(_UNSETTLED_S)
            return {}
        states = {TP(*tp): assignment.state_value(tp) for tp in assignment.tps if tp in active}
        if unpaused := [tp for tp, state in states.items() if not state.paused]:
            self.thread_loop.call_soon_threadsafe(consumer.pause, *map(ensure_aiokafka_TP, unpaused))
        if not states or not all(state.has_valid_position for state in states.values()):
            time.sleep(_UNSETTLED_S)
            return {}
        if self._reader is None:
            self._reader = self._open_reader(next(iter(states)).topic)
        positions = {tp.partition: state.position for tp, state in states.items()}
        try:
            fetched = self._reader.read(positions, timeout, self._gather)
        except UserError as error:
            cast(BatchesApp, self.app).fail(error)
            time.sleep(timeout)
            return {}
        if not (self.consumer.flow_active and assignment.active and self.app.consumer_generation_id == generation):
            return {}
        found = {tp: fetched[tp.partition] for tp in states if tp.partition in fetched}
        for tp, records in found.items():
            states[tp].consumed_to(records[-1].offset + 1)
        self.read_in = generation
        return found

    def _gather(self) -> None:
        app = cast(BatchesApp, self.app)
        time.sleep(app.fetching.gather_s)
        app.idle.wait(app.fetching.hold_s)

    def _open_reader(self, topic: str) -> PartitionReader:
        app = cast(BatchesApp, self.app)
        return PartitionReader(app.kafka, app.conf.id, topic, app.fetching)

    async def on_thread_stop(self) -> None:
        """Closes the reader once what it is at is done, then all else."""
        if self._reader is not None:
            reader, self._reader = self._reader, None
            await asyncio.get_running_loop().run_in_executor(self._reading, reader.close)
        self._reading.shutdown(wait=False)
        await super().on_thread_stop()

    async def commit_positions(self, topic: str, positions: Mapping[int, int]) -> None:
        """Commits the next offsets to read as a member of the group, so that a stalled former owner is refused."""
        offsets = {
            TopicPartition(topic, partition): OffsetAndMetadata(position, terminated_signature(position))
            for partition, position in positions.items()
        }
        await self.call_thread(self._ensure_consumer().commit, offsets)

    def membership(self) -> Membership:
        """Who we are in the group's present generation."""
        coordinator = self._ensure_consumer()._coordinator
        return Membership(self.app.conf.id, coordinator.generation, coordinator.member_id)


class Consumer(KafkaConsumer):
    """Yields one message per fetch and leaves positions to the stages."""

    _thread: ConsumerThread

    async def sleep(self, n: Any) -> None:
        """As mode has it, but without tasks of its own to let others run, as Faust does between fetches."""
        await (asyncio.sleep(0) if n == 0 else super().sleep(n))

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """Fetches records; all come as one message of the topic, its value the lists of records by partition."""
        records, active = await self._wait_next_records(timeout)
        generation = self._thread.read_in
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
            carrier.topic,
            carrier.partition,
            last.offset,
            last.timestamp / 1000.0,
            _CREATE_TIME,
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


class Producer(KafkaProducer):
    """Faust's own producer, which nothing is sent by, but which connects with each app."""

    def _settings_auth(self) -> Mapping[str, Any]:
        return cast(BatchesApp, self.app).kafka.aiokafka_options()


class Transport(KafkaTransport):
    """Serves ``batches://host:port`` URLs."""

    Consumer: ClassVar[type[Consumer]] = Consumer
    Producer: ClassVar[type[Producer]] = Producer
