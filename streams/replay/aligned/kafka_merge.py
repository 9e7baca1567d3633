"""INGEST over all partitions of an aligned replay, in its order, until its end."""

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from features.errors import UnavailableError, UserError
from streams.config import INGEST, DeploymentConfig
from streams.kafka.admin import partition_count, require_topics
from streams.kafka.client import KafkaClients, KafkaException
from streams.kafka.log import KafkaLog
from streams.kafka.positions import Positions, reached, terminated_signature
from streams.kafka.producer import DeliveryError, Membership
from streams.kafka.reader import Fetching, PartitionReader
from streams.kafka.stall import exit_now
from streams.kafka.watchdog import Watchdog
from streams.messages.record import LogRecord
from streams.messages.seal import Seal
from streams.messages.topics import BY_MERCHANT, STATE_USERS, TRANSACTIONS
from streams.replay.aligned.kafka_marks import sent_to_each
from streams.replay.aligned.merge import Merge, begin_after
from streams.stages.kafka_ingest import IngestWorker
from streams.workers.statuses import DONE, REFUSED

logger = logging.getLogger(__name__)

_FAILED = 1

# What a turn costs is paid once for all of it.
_MOST_IN_TURN = 16_000
_TICK_S = 0.05
# Nothing is gathered: there is always more, or the sender is slower.
_FETCHING = Fetching(wait_s=0.015, most=8_000)
_NAP_S = 0.005


class RebalancedError(Exception):
    """The group has other members, or had; start over from what is committed."""


class AlignedIngest(ConsumerRebalanceListener):  # type: ignore[misc]
    """Owns all partitions or none: ``run`` returns True when the replay is taken to its end and all is committed, False when ``stop`` was
    called before. Raises UserError if another INGEST has some of the partitions."""

    def __init__(self, config: DeploymentConfig, replay: str) -> None:
        self._config, self._replay = config, replay
        self._seal = Seal(config.answer_key)
        self._partitions = range(partition_count(KafkaClients.of(config), TRANSACTIONS.name))
        self._worker = IngestWorker(config)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="stage")
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="reading")
        self._readers: dict[int, PartitionReader] = {}
        self._read_up_to: dict[int, int] = {}
        self._assigned: asyncio.Future[set[int]] = asyncio.get_running_loop().create_future()
        self._lost = self._stopping = False
        self._arrived, self._room = asyncio.Event(), asyncio.Event()
        self._positions: dict[int, int] = {}
        self._consumer = AIOKafkaConsumer(
            **KafkaClients.of(config).aiokafka_options(),
            group_id=config.group(INGEST),
            # As workers have it: members of one group must agree.
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=6_000,
            heartbeat_interval_ms=1_000,
            # As workers have it: who joins before it knows the topic is given nothing.
            metadata_max_age_ms=5_000,
            # Recovery may keep the partitions from being polled.
            max_poll_interval_ms=3_600_000,
        )

    def stop(self) -> None:
        """Ends ``run`` after the turn under way."""
        self._stopping = True
        self._assigned.cancel()
        self._arrived.set()

    async def run(self) -> bool:
        """See the class."""
        self._consumer.subscribe([TRANSACTIONS.name], listener=self)
        await self._consumer.start()
        watchdog = Watchdog(self._config, TRANSACTIONS, self._config.group(INGEST), lambda: self._positions, exit_now)
        try:
            while not self._assigned.done():
                await asyncio.wait([self._assigned], timeout=1.0)
                # Nothing else would tell of a group that can't be joined.
                self._consumer._coordinator.check_errors()
            if self._assigned.cancelled():
                return False
            numbers = self._assigned.result()
            if numbers != set(self._partitions):
                raise UserError(
                    f"another INGEST shares group {self._config.group(INGEST)}, so this one has partitions {sorted(numbers)} only, but an "
                    "aligned replay needs all of them; run the other workers with --stages labels,score and give the same command again"
                )
            return await self._take_all()
        finally:
            watchdog.close()
            await self._call(self._worker.end)
            self._thread.shutdown(wait=False)
            self._reading.shutdown(wait=False)
            await self._consumer.stop()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Notes what is ours; more than once means that others came or went."""
        if not self._assigned.done():
            # The readers fetch, as for every stage; this consumer is the group's member.
            self._consumer.pause(*assigned)
            self._assigned.set_result({tp.partition for tp in assigned})

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Nothing more is taken."""
        self._lost = self._assigned.done()

    async def _take_all(self) -> bool:
        positions = await self._call(self._worker.open, tuple(self._partitions), self._membership())
        begin = await self._call(self._begin, positions)
        if begin is None:
            await self._commit(await self._call(self._worker.close))
            return True
        merge = Merge(self._replay, self._partitions, self._seal, begin)
        self._read_up_to = dict(positions)
        reading = asyncio.create_task(self._read(merge), name="reading")
        try:
            while not merge.ended and not self._stopping:
                self._require_all(reading)
                await self._turn(merge)
        finally:
            reading.cancel()
            await asyncio.get_running_loop().run_in_executor(self._reading, self._close_readers)
        await self._commit(await self._call(self._worker.close))
        if merge.others:
            logger.warning(
                "%d records that are no part of the aligned replay came in meanwhile: they were taken where they stood, and what is known "
                "of their users and merchants differs from a backtest's",
                merge.others,
            )
        return merge.ended

    async def _turn(self, merge: Merge) -> None:
        self._arrived.clear()
        turn = merge.take(_MOST_IN_TURN)
        self._room.set()
        if turn is not None:
            await self._commit(await self._call(self._worker.process_aligned, turn.records, turn.places))
            self._positions |= reached(turn.records)
            return
        try:
            await asyncio.wait_for(self._arrived.wait(), _TICK_S)
        except TimeoutError:
            await self._commit(await self._call(self._worker.tick))

    async def _read(self, merge: Merge) -> None:
        while True:
            self._room.clear()
            # The member shows that it is alive; its partitions are paused.
            await self._consumer.getmany(timeout_ms=0)
            wanted = merge.wanted()
            if not wanted:
                await self._room.wait()
                continue
            fetched = await asyncio.get_running_loop().run_in_executor(self._reading, self._fetch, wanted)
            for number, records in fetched.items():
                merge.feed(number, records)
            if fetched:
                self._arrived.set()

    def _fetch(self, wanted: Sequence[int]) -> dict[int, list[LogRecord]]:
        """What has come on these partitions, after a moment's wait if nothing has. Each has a reader of its own, for which of them are
        wanted changes all the time, and a reader forgets what it holds when its partitions change."""
        found: dict[int, list[LogRecord]] = {}
        for number in wanted:
            if number not in self._readers:
                group = self._config.group(INGEST)
                self._readers[number] = PartitionReader(KafkaClients.of(self._config), group, TRANSACTIONS.name, _FETCHING)
            found |= self._readers[number].read({number: self._read_up_to[number]}, 0.0, lambda: None)
        self._read_up_to |= reached(found)
        if not found:
            time.sleep(_NAP_S)
        return found

    def _close_readers(self) -> None:
        for reader in self._readers.values():
            reader.close()
        self._readers = {}

    def _require_all(self, reading: "asyncio.Task[None]") -> None:
        if self._lost:
            raise RebalancedError(f"group {self._config.group(INGEST)} was rebalanced, another INGEST came or went")
        if reading.done():
            reading.result()

    def _begin(self, positions: Positions) -> int | None:
        log = KafkaLog(KafkaClients.of(self._config), self._config.group(INGEST))
        try:
            return begin_after([found.get(self._replay) for found in sent_to_each(log, positions, self._seal).values()])
        finally:
            log.close()

    def _membership(self) -> Membership:
        coordinator = self._consumer._coordinator
        return Membership(self._config.group(INGEST), coordinator.generation, coordinator.member_id)

    async def _commit(self, positions: Positions) -> None:
        if positions:
            offsets = {
                TopicPartition(TRANSACTIONS.name, number): OffsetAndMetadata(at, terminated_signature(at))
                for number, at in positions.items()
            }
            await self._consumer.commit(offsets)

    async def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)


def main(config: DeploymentConfig, replay: str) -> None:
    """Runs until the end of the replay, and exits with a status that ``streams/workers/worker.py`` knows."""

    async def run() -> int:
        require_topics(KafkaClients.of(config), (TRANSACTIONS, STATE_USERS, BY_MERCHANT))
        ingest = AlignedIngest(config, replay)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ingest.stop)
        return DONE if await ingest.run() else _FAILED

    try:
        status = asyncio.run(run())
    except (UnavailableError, KafkaException, DeliveryError):
        raise
    except UserError as error:
        logger.error("%s", error)
        status = REFUSED
    except (RebalancedError, CommitFailedError, IllegalStateError) as error:
        # A next one says some things twice, from what is committed.
        logger.warning("%s", error)
        status = _FAILED
    except Exception:
        logger.exception("the aligned INGEST can't go on")
        status = _FAILED
    sys.exit(status)
