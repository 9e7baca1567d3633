"""The partitions a process owns: opened when they are assigned, fed in order and in turns, closed when they are revoked.

A ``StageWorker`` holds their states and its connections to Kafka. What it does with a batch is a pure stage function; what is here is when.
"""

import asyncio
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, cast

from streams.kafka.positions import Positions
from streams.kafka.producer import Membership
from streams.messages.record import Record
from streams.metrics.catalogue import TURN_BOUNDS
from streams.metrics.tally import Tally

logger = logging.getLogger(__name__)

# How long a process that has nothing to do waits before it looks after what it put off: commits, projection.
_TICK_S = 0.05
# Fetches, of some thousand records each.
_MOST_WAITING = 16


class StageWorker(Protocol):
    """A stage at the partitions that its process owns. Its methods block and are called one at a time.

    What they return are positions that the caller is to commit; none if they are unchanged, not safe yet, or committed by the stage itself.
    ``counts`` says how many records were found to be what.
    """

    counts: Counter[str]

    def ready(self) -> bool:
        """Whether records can be processed now; else they wait. Returns at once."""

    def open(self, partitions: Collection[int], membership: Membership) -> Positions:
        """Makes sure that former owners are shut out and recovers the states; returns where to go on, for every partition."""

    def process(self, records: Mapping[int, Sequence[Record]]) -> Positions:
        """Applies a turn's records, by partition, and sends what follows from them."""

    def tick(self) -> Positions:
        """Looks after what was put off."""

    def close(self) -> Positions:
        """The partitions are revoked: finishes what is under way. Another ``open`` may follow."""

    def end(self) -> None:
        """Lets go of all connections."""


Commit = Callable[[Positions], Awaitable[None]]
Fail = Callable[[BaseException], None]


@dataclass(frozen=True)
class Limit:
    """What a turn takes of each partition at most; one record always fits."""

    records: int
    bytes: int


class Partitions:
    """Feeds the partitions of one consumer group generation to the stage's worker, off the event loop.

    A turn takes what waits for all partitions; what arrives meanwhile is for the next. So turns grow with the load, and what a turn costs
    is paid once for all partitions. ``idle`` is set while none is under way. ``opened`` is called when all that was assigned is open.
    ``turns`` has how long they took (s), ``taken`` how many records they took.
    """

    def __init__(self, worker: StageWorker, limit: Limit, commit: Commit, fail: Fail, opened: Callable[[], None] = lambda: None) -> None:
        self._worker = worker
        self._limit = limit
        self._commit = commit
        self._fail = fail
        self._opened = opened
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="stage")
        self.idle = threading.Event()
        self.idle.set()
        self.turns, self.taken = Tally(TURN_BOUNDS), 0
        self._generation: int | None = None
        self._turns: asyncio.Task[None] | None = None
        self._queues: dict[int, _Queue] = {}
        self._fetches = 0
        self._done: dict[int, int] = {}
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()

    async def assign(self, numbers: Collection[int], generation: int, membership: Membership) -> None:
        """Opens these partitions and no others; records of other generations are no longer taken."""
        await self.revoke()
        self._generation = generation
        self._queues = {number: _Queue(self._limit) for number in sorted(numbers)}
        self._fetches = 0
        self._room.set()
        if self._queues:
            self._turns = asyncio.create_task(self._run(generation, self._queues, membership), name="turns")
        else:
            self._opened()

    async def revoke(self) -> None:
        """Lets the turn under way finish, drops what waits, and closes, so that the next owner finds everything committed."""
        self._generation = None
        self._room.set()
        self._arrived.set()
        turns, self._turns = self._turns, None
        if turns is not None:
            await asyncio.wait([turns])

    async def feed(self, generation: int, fetched: Mapping[int, list[Any]]) -> None:
        """Queues a fetch's records, by partition; they follow those fed before. Waits while too much is queued.

        What was fetched in another generation, or for a partition that isn't ours, is dropped.
        """
        await self._room.wait()
        if generation != self._generation:
            logger.info("dropped %d records fetched before a rebalance", sum(map(len, fetched.values())))
            return
        for number, records in fetched.items():
            if number in self._queues:
                self._queues[number].put(records)
        self._arrived.set()
        self._fetches += 1
        if self._fetches >= _MOST_WAITING:
            self._room.clear()

    def positions(self) -> Positions:
        """The next offset of each partition as of the last turn; none while states are recovered or the worker isn't ready."""
        return self._done if self._worker.ready() else {}

    async def end(self) -> None:
        """Closes the partitions and ends the worker and its thread."""
        await self.revoke()
        await self._call(self._worker.end)
        self._thread.shutdown(wait=False)

    async def _run(self, generation: int, queues: dict[int, "_Queue"], membership: Membership) -> None:
        try:
            for number, position in (await self._call(self._worker.open, tuple(queues), membership)).items():
                queues[number].next = position
            self._opened()
            while self._generation == generation:
                self._done = {number: queue.next for number, queue in queues.items()}
                records = await self._take(queues)
                await self._commit_if_any(await (self._turn(records) if records else self._call(self._worker.tick)))
            self._done = {}
            await self._commit_if_any(await self._call(self._worker.close))
        except Exception as error:
            self._fail(error)

    async def _take(self, queues: dict[int, "_Queue"]) -> dict[int, list[Any]]:
        """What waits, up to the limit; nothing after a while without any."""
        if not self._worker.ready():
            await asyncio.sleep(_TICK_S)
            return {}
        if not any(queues.values()):
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), _TICK_S)
            except TimeoutError:
                return {}
        taken = {number: queue.take() for number, queue in queues.items() if queue}
        self._fetches = max(map(len, queues.values()))
        if self._fetches < _MOST_WAITING:
            self._room.set()
        return {number: records for number, records in taken.items() if records}

    async def _turn(self, records: dict[int, list[Any]]) -> Positions:
        self.idle.clear()
        began = time.perf_counter()
        try:
            return cast(Positions, await self._call(self._worker.process, records))
        finally:
            self.idle.set()
            self.turns.add_one(time.perf_counter() - began)
            self.taken += sum(map(len, records.values()))

    async def _commit_if_any(self, positions: Positions) -> None:
        if positions:
            await self._commit(positions)

    async def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)


class _Queue:
    """One partition's fetches in order; its length is their number. ``next`` is the offset to go on from."""

    def __init__(self, limit: Limit) -> None:
        self.next = 0
        self._limit = limit
        self._fetches: deque[list[Any]] = deque()

    def __len__(self) -> int:
        return len(self._fetches)

    def put(self, records: list[Any]) -> None:
        self._fetches.append(records)

    def take(self) -> list[Any]:
        """The records for a turn; those before ``next``, fetched from a committed position behind our own, are left out."""
        records: list[Any] = []
        size = 0
        while self._fetches and len(records) < self._limit.records and size < self._limit.bytes:
            fetch = self._fetches.popleft()
            if fetch[0].offset < self.next:
                fetch = [record for record in fetch if record.offset >= self.next]
            whole = sum([len(record.value) for record in fetch if record.value is not None])
            if len(records) + len(fetch) <= self._limit.records and size + whole <= self._limit.bytes:
                taken, size = fetch, size + whole
            else:
                taken, size = self._part(fetch, len(records), size)
                if len(taken) < len(fetch):
                    self._fetches.appendleft(fetch[len(taken) :])
            if taken:
                records += taken
                self.next = taken[-1].offset + 1
        return records

    def _part(self, fetch: list[Any], records: int, size: int) -> tuple[list[Any], int]:
        """What of a fetch still fits beside so many records of that size, and the size with it; beyond the limit if nothing more does."""
        taken = 0
        for record in fetch[: self._limit.records - records]:
            size += len(record.value) if record.value is not None else 0
            if size > self._limit.bytes and (records or taken):
                break
            taken += 1
        return fetch[:taken], size
