"""A stage's partitions: each opened when it is assigned, fed in order, closed when it is revoked.

A ``PartitionWorker`` is one partition's state and its speaker to Kafka; all its methods block and run in a thread, one at a time. What
it does with a batch is a pure stage function; what is here is when.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from streams.validation import Record

logger = logging.getLogger(__name__)

# How long a partition that has nothing to do waits before it looks after what it put off: commits, projection.
_TICK_S = 0.05
_MOST_WAITING = 32


class PartitionWorker(Protocol):
    """One partition of a stage's source topic, from assignment to revocation."""

    def open(self) -> int:
        """Fences the former owner and recovers the state; returns the next offset to process."""

    def process(self, records: Sequence[Record]) -> int | None:
        """Applies the records and speaks; returns the position now safe to commit by the caller, None if there is none (yet)."""

    def tick(self) -> int | None:
        """Looks after what was put off; returns the position now safe to commit by the caller, None if there is none."""

    def close(self) -> int | None:
        """Finishes what is under way and lets go; returns the last position to commit by the caller, None if there is none."""


Commit = Callable[[int, int], Awaitable[None]]
Fail = Callable[[BaseException], None]


@dataclass(frozen=True)
class Limit:
    """What a batch holds at most; one record always fits."""

    records: int
    bytes: int


class Partition:
    """Feeds one partition's records to its worker, off the event loop.

    While a batch is being processed, what arrives is collected: so batches grow with the load.
    """

    def __init__(self, number: int, worker: PartitionWorker, pool: ThreadPoolExecutor, limit: Limit, commit: Commit, fail: Fail) -> None:
        self.number = number
        self._worker = worker
        self._pool = pool
        self._limit = limit
        self._commit = commit
        self._fail = fail
        self._next = 0
        self._waiting: deque[list[Any]] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closing = False
        self._task = asyncio.create_task(self._run(), name=f"partition {number}")

    async def feed(self, records: list[Any]) -> None:
        """Queues records that follow those fed before; waits while too many are queued."""
        await self._room.wait()
        self._waiting.append(records)
        self._arrived.set()
        if len(self._waiting) >= _MOST_WAITING:
            self._room.clear()

    async def close(self) -> None:
        """Lets the batch under way finish, drops what is queued, and closes the worker."""
        self._closing = True
        self._arrived.set()
        self._room.set()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            self._next = await self._call(self._worker.open)
            while not self._closing:
                records = await self._collect()
                position = await (self._call(self._worker.process, records) if records else self._call(self._worker.tick))
                if position is not None:
                    await self._commit(self.number, position)
            position = await self._call(self._worker.close)
            if position is not None:
                await self._commit(self.number, position)
        except Exception as error:
            self._fail(error)

    async def _collect(self) -> list[Any]:
        """All records that wait, up to the limit; an empty list after a while without any."""
        if not self._waiting:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), _TICK_S)
            except TimeoutError:
                return []
        records: list[Any] = []
        size = 0
        while self._waiting and len(records) < self._limit.records and size < self._limit.bytes and not self._closing:
            part = self._waiting.popleft()
            taken = self._fitting(part, self._limit.records - len(records), self._limit.bytes - size)
            if taken < len(part):
                self._waiting.appendleft(part[taken:])
            records += part[:taken]
            size += sum(_size(record) for record in part[:taken])
        self._room.set()
        if records and records[0].offset < self._next:
            # Fetched from a committed position behind our own, as after a rebalance.
            records = [record for record in records if record.offset >= self._next]
        if records:
            self._next = records[-1].offset + 1
        return records

    @staticmethod
    def _fitting(part: list[Any], most_records: int, most_bytes: int) -> int:
        """How many of the records to take: at least one."""
        size = 0
        for taken, record in enumerate(part[:most_records]):
            size += _size(record)
            if size > most_bytes and taken:
                return taken
        return min(len(part), most_records)

    async def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)


def _size(record: Any) -> int:
    return len(record.value) if record.value is not None else 0


class Partitions:
    """All partitions that this process owns now, in one consumer group generation."""

    def __init__(self, new_worker: Callable[[int], PartitionWorker], limit: Limit, threads: int, commit: Commit, fail: Fail) -> None:
        self._new_worker = new_worker
        self._limit = limit
        self._commit = commit
        self._fail = fail
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="partition")
        self._owned: dict[int, Partition] = {}
        self._generation: int | None = None

    async def assign(self, numbers: set[int], generation: int) -> None:
        """Opens these partitions and no others; records of other generations are no longer taken."""
        await self.revoke()
        self._generation = generation
        for number in sorted(numbers):
            self._owned[number] = Partition(number, self._new_worker(number), self._pool, self._limit, self._commit, self._fail)

    async def revoke(self) -> None:
        """Closes all partitions, so that the next owner finds everything committed."""
        owned, self._owned = self._owned, {}
        self._generation = None
        await asyncio.gather(*(partition.close() for partition in owned.values()))

    async def feed(self, number: int, generation: int, records: list[Any]) -> None:
        """Hands a fetch to its partition, unless it was fetched in another generation."""
        partition = self._owned.get(number)
        if partition is None or generation != self._generation:
            logger.info("dropped %d records of partition %d fetched before a rebalance", len(records), number)
            return
        await partition.feed(records)

    def shut_down(self) -> None:
        """Ends the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)
