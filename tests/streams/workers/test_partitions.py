"""Partitions in turns: order kept, nothing twice, nothing of another generation, everything finished before a partition goes."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

import pytest

from streams.kafka.positions import Positions
from streams.kafka.producer import Membership
from streams.messages.record import LogRecord
from streams.workers.partitions import Limit, Partitions

MEMBER = Membership("group", 1, "me")
GENEROUS = Limit(100, 10_000)


def records(*offsets: int, size: int = 10) -> list[LogRecord]:
    return [LogRecord(offset, 0, None, bytes(size), []) for offset in offsets]


class Worker:
    """Notes what it is asked; its turns wait until ``may_work`` is set."""

    def __init__(self, starts: Mapping[int, int] | None = None) -> None:
        self.starts = starts or {}
        self.is_ready = True
        self.may_work = threading.Event()
        self.may_work.set()
        self.calls: list[str] = []
        self.turns: list[dict[int, list[int]]] = []
        self.fails_at: int | None = None

    def ready(self) -> bool:
        return self.is_ready

    def open(self, partitions: Collection[int], membership: Membership) -> Positions:
        self.calls.append(f"open {sorted(partitions)}")
        return {partition: self.starts.get(partition, 0) for partition in partitions}

    def process(self, records: Mapping[int, Sequence[Any]]) -> Positions:
        assert self.may_work.wait(10)
        self.turns.append({partition: [record.offset for record in read] for partition, read in records.items()})
        if any(record.offset == self.fails_at for read in records.values() for record in read):
            raise RuntimeError("can't")
        return {partition: read[-1].offset + 1 for partition, read in records.items()}

    def tick(self) -> Positions:
        return {}

    def close(self) -> Positions:
        self.calls.append("close")
        return {}

    def end(self) -> None:
        self.calls.append("end")

    def seen(self, partition: int) -> list[int]:
        return [offset for turn in self.turns for offset in turn.get(partition, [])]


class Run:
    """Partitions over a worker, with what they committed and failed with."""

    def __init__(self, worker: Worker, limit: Limit = GENEROUS) -> None:
        self.committed: list[dict[int, int]] = []
        self.failures: list[BaseException] = []
        self.partitions = Partitions(worker, limit, self._commit, self.failures.append)

    async def _commit(self, positions: Positions) -> None:
        self.committed.append(dict(positions))

    async def until(self, true: Callable[[], Any]) -> None:
        for _ in range(1_000):
            if true():
                return
            await asyncio.sleep(0.005)
        raise AssertionError("it did not come true within 5 s")


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scenario())  # type: ignore[arg-type]


def test_a_turn_takes_what_waits_for_all_partitions() -> None:
    async def scenario() -> None:
        worker = Worker()
        worker.may_work.clear()
        here = Run(worker)
        await here.partitions.assign([0, 1], 1, MEMBER)
        assert here.partitions.idle.is_set()
        await here.partitions.feed(1, {0: records(0)})
        await here.until(lambda: not here.partitions.idle.is_set())
        await here.partitions.feed(1, {0: records(1), 1: records(11)})
        await here.partitions.feed(1, {0: records(2)})
        await here.partitions.feed(1, {1: records(12)})
        worker.may_work.set()
        await here.until(lambda: len(worker.turns) == 2)
        assert worker.turns == [{0: [0]}, {0: [1, 2], 1: [11, 12]}]
        assert here.committed == [{0: 1}, {0: 3, 1: 13}]
        assert here.partitions.idle.is_set()
        await here.partitions.end()
        assert worker.calls == ["open [0, 1]", "close", "end"]

    run(scenario)


@pytest.mark.parametrize(
    ("limit", "sizes"), [(Limit(3, 10_000), [3, 3, 3, 1]), (Limit(100, 25), [2, 2, 2, 2, 2]), (Limit(100, 1), [1] * 10)]
)
def test_turns_keep_to_the_limit_and_to_the_order(limit: Limit, sizes: list[int]) -> None:
    async def scenario() -> None:
        worker = Worker()
        here = Run(worker, limit)
        await here.partitions.assign([0], 1, MEMBER)
        await here.partitions.feed(1, {0: records(*range(4))})
        await here.partitions.feed(1, {0: records(*range(4, 10))})
        await here.until(lambda: len(worker.seen(0)) == 10)
        await here.partitions.end()
        assert worker.seen(0) == list(range(10))
        assert [len(turn[0]) for turn in worker.turns] == sizes

    run(scenario)


def test_what_lies_before_the_position_is_left_out() -> None:
    async def scenario() -> None:
        worker = Worker({0: 5})
        here = Run(worker)
        await here.partitions.assign([0], 1, MEMBER)
        await here.partitions.feed(1, {0: records(3, 4)})
        await here.partitions.feed(1, {0: records(4, 5, 7)})
        await here.partitions.feed(1, {0: records(5, 7, 8)})
        await here.until(lambda: 8 in worker.seen(0))
        await here.partitions.end()
        assert worker.seen(0) == [5, 7, 8]

    run(scenario)


def test_a_revoked_partition_finishes_its_turn_and_drops_the_rest() -> None:
    async def scenario() -> None:
        worker = Worker()
        worker.may_work.clear()
        here = Run(worker)
        await here.partitions.assign([0], 1, MEMBER)
        await here.partitions.feed(1, {0: records(0)})
        await asyncio.sleep(0.05)
        await here.partitions.feed(1, {0: records(1)})
        revoking = asyncio.create_task(here.partitions.revoke())
        await asyncio.sleep(0.05)
        assert not revoking.done()
        worker.may_work.set()
        await revoking
        assert worker.turns == [{0: [0]}]
        assert here.committed == [{0: 1}]
        assert worker.calls == ["open [0]", "close"]
        await here.partitions.end()

    run(scenario)


def test_a_fetch_of_another_generation_or_partition_is_dropped() -> None:
    async def scenario() -> None:
        worker = Worker()
        here = Run(worker)
        await here.partitions.assign([0], 1, MEMBER)
        await here.partitions.assign([1], 2, MEMBER)
        await here.partitions.feed(1, {0: records(0)})
        await here.partitions.feed(1, {1: records(0)})
        await here.partitions.feed(2, {0: records(0)})
        await here.partitions.feed(2, {1: records(9)})
        await here.until(lambda: worker.turns)
        await here.partitions.end()
        assert worker.turns == [{1: [9]}]

    run(scenario)


def test_feeding_waits_while_too_much_is_queued() -> None:
    async def scenario() -> None:
        worker = Worker()
        worker.may_work.clear()
        here = Run(worker)
        await here.partitions.assign([0], 1, MEMBER)

        async def feed_all() -> None:
            for offset in range(200):
                await here.partitions.feed(1, {0: records(offset)})

        feeding = asyncio.create_task(feed_all())
        await asyncio.sleep(0.1)
        assert not feeding.done()
        worker.may_work.set()
        await feeding
        await here.until(lambda: len(worker.seen(0)) == 200)
        await here.partitions.end()
        assert worker.seen(0) == list(range(200))

    run(scenario)


def test_records_wait_until_the_worker_is_ready() -> None:
    async def scenario() -> None:
        worker = Worker()
        worker.is_ready = False
        here = Run(worker)
        await here.partitions.assign([0], 1, MEMBER)
        await here.partitions.feed(1, {0: records(0)})
        await asyncio.sleep(0.15)
        assert worker.turns == []
        worker.is_ready = True
        await here.until(lambda: worker.turns)
        await here.partitions.end()

    run(scenario)


def test_a_failure_is_reported_once_and_nothing_follows_it() -> None:
    async def scenario() -> None:
        worker = Worker()
        worker.fails_at = 1
        here = Run(worker)
        await here.partitions.assign([0], 1, MEMBER)
        await here.partitions.feed(1, {0: records(0, 1)})
        await here.until(lambda: here.failures)
        await here.partitions.feed(1, {0: records(2)})
        await asyncio.sleep(0.1)
        await here.partitions.end()
        assert worker.turns == [{0: [0, 1]}]
        assert here.committed == []
        assert len(here.failures) == 1
        assert worker.calls == ["open [0]", "end"]

    run(scenario)
