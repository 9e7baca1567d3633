"""A load on the API: ``python -m tests.benchmarks.load.http_load`` posts transactions to ``/v1/score`` over connections that stay open.

With a ``rate`` it is open: each is posted when it is due, however late the answers before, and its latency counts from then, so what had
to wait for a free connection is no faster for it. Without, closed: each connection posts its next once it has its answer. A process of its
own and a light one: all requests are made beforehand. It takes an ``HttpLoad`` as JSON, prints a line when they
are, then an ``Answers``.
"""

import asyncio
import re
import sys
import time
from collections import Counter, deque
from typing import cast

import msgspec
import numpy as np
import pyarrow.parquet as pq
import uvloop

from streams.replay.encode import encode_transactions
from streams.workers.handover import receive
from tests.benchmarks.figures import delays
from tests.benchmarks.load.child import READY

# The server closes a connection that was idle for 5 s; one that it may be about to close isn't used.
_IDLE_FOR_S = 3.0
_PATIENCE_S = 30.0
_LOOK_EVERY_S = 0.05
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_HEAD = b"POST /v1/score HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
DECIDED, UNANSWERED = 200, 0


class HttpLoad(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a Parquet file (the canonical columns) from ``first`` on, at most ``count``: ``rate`` a second, None for a closed load, for
    ``warm_up`` + ``seconds`` s, over at most so many ``connections``."""

    port: int
    file: str
    first: int
    count: int
    rate: float | None
    warm_up: float
    seconds: float
    connections: int


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """``posted`` in all, of which ``decided`` had status 200, ``errors`` the others by status (0: the connection was lost, or no answer
    for 30 s). After the warm-up: decisions ``per_s``, their ``latency`` (p50_ms, …) and how late 99 of 100 were posted at most. CPU seconds
    taken, and of how many."""

    posted: int
    decided: int
    errors: dict[str, int]
    per_s: float
    latency: dict[str, float]
    late_p99_ms: float
    cpu_s: float
    seconds: float


def complete(buffer: bytes) -> int | None:
    """The status of the response that the buffer holds, None while part of it is missing."""
    head = buffer.find(b"\r\n\r\n")
    length = _LENGTH.search(buffer, 0, head + 2)
    if head < 0 or length is None or len(buffer) < head + 4 + int(length[1]):
        return None
    return int(buffer[9:12])


class Load:
    """What is posted, and what became of it. Times in s after the first was due."""

    def __init__(self, asked: HttpLoad) -> None:
        rows = pq.read_table(asked.file).slice(asked.first, asked.count)
        self.requests = [_HEAD % len(body) + body for body in encode_transactions(rows)]
        count = len(self.requests)
        self.posted_at, self.answered_at, self.status = np.full(count, np.nan), np.full(count, np.nan), np.zeros(count, np.int64)
        self.posted = 0
        self._asked = asked
        self._finished = self._open = 0
        self._idle: list[_Connection] = []
        self._waiting: deque[int] = deque()
        self._start = self._last_answer = 0.0

    async def run(self) -> None:
        """Posts, and waits for the answers."""
        asked = self._asked
        end = asked.warm_up + asked.seconds
        self._start = time.perf_counter()
        if asked.rate is None:
            await asyncio.gather(*(self._connect() for _ in range(asked.connections)))
            await asyncio.sleep(end - self._now())
        else:
            await self._post_when_due(asked.rate)
        while self._finished < self.posted and self._now() - self._last_answer < _PATIENCE_S:
            await asyncio.sleep(_LOOK_EVERY_S)

    def free(self, connection: "_Connection") -> None:
        """A connection has nothing to do."""
        if self._waiting:
            connection.post(self._waiting.popleft())
        elif self._asked.rate is None and self._now() < self._asked.warm_up + self._asked.seconds and self.posted < len(self.requests):
            self.posted += 1
            connection.post(self.posted - 1)
        else:
            connection.idle_since = self._now()
            self._idle.append(connection)

    def sent(self, number: int) -> bytes:
        """The request, which goes out now."""
        self.posted_at[number] = self._now()
        return self.requests[number]

    def answered(self, number: int, status: int) -> None:
        """An answer is here."""
        self.answered_at[number] = self._last_answer = self._now()
        self.status[number] = status
        self._finished += 1

    def closed(self, connection: "_Connection") -> None:
        """A connection is no longer there; what it was waiting for stays unanswered."""
        self._open -= 1
        if connection in self._idle:
            self._idle.remove(connection)
        if connection.number is not None:
            self._finished += 1

    def answers(self, cpu_s: float) -> Answers:
        """What came of it."""
        asked, posted = self._asked, slice(0, self.posted)
        status, posted_at, answered_at = self.status[posted], self.posted_at[posted], self.answered_at[posted]
        since = posted_at if asked.rate is None else np.arange(self.posted) / asked.rate
        counted = (status == DECIDED) & (since >= asked.warm_up)
        errors = Counter(str(code) for code in status[status != DECIDED].tolist())
        if not counted.any():
            return Answers(
                posted=self.posted, decided=0, errors=errors, per_s=0.0, latency={}, late_p99_ms=0.0, cpu_s=cpu_s, seconds=self._now()
            )
        # At a rate that can't be kept up the last answers come long after the last was due.
        took = max(asked.seconds, float(answered_at[counted].max()) - asked.warm_up)
        return Answers(
            posted=self.posted,
            decided=int((status == DECIDED).sum()),
            errors=errors,
            per_s=round(int(counted.sum()) / took, 1),
            latency=delays.percentiles((answered_at - since)[counted] * 1000),
            late_p99_ms=round(float(np.percentile((posted_at - since)[counted], 99)) * 1000, 2),
            cpu_s=round(cpu_s, 3),
            seconds=round(self._now(), 3),
        )

    async def _post_when_due(self, rate: float) -> None:
        for number in range(len(self.requests)):
            wait = number / rate - self._now()
            if wait > 0:
                await asyncio.sleep(wait)
            self.posted += 1
            connection = self._fresh()
            if connection is not None:
                connection.post(number)
                continue
            self._waiting.append(number)
            if self._open < self._asked.connections:
                asyncio.get_running_loop().create_task(self._connect())

    def _fresh(self) -> "_Connection | None":
        """An idle connection, the last used, which the server will not have closed for idleness."""
        while self._idle:
            connection = self._idle.pop()
            if self._now() - connection.idle_since < _IDLE_FOR_S:
                return connection
            connection.close()
        return None

    async def _connect(self) -> None:
        self._open += 1
        await asyncio.get_running_loop().create_connection(lambda: _Connection(self), "127.0.0.1", self._asked.port)

    def _now(self) -> float:
        return time.perf_counter() - self._start


class _Connection(asyncio.Protocol):
    """One request at a time; ``number`` is that under way."""

    def __init__(self, load: Load) -> None:
        self.number: int | None = None
        self.idle_since = 0.0
        self._load = load
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._load.free(self)

    def post(self, number: int) -> None:
        self.number = number
        self._transport.write(self._load.sent(number))

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        status = complete(self._buffer)
        if status is not None and self.number is not None:
            number, self.number, self._buffer = self.number, None, b""
            self._load.answered(number, status)
            self._load.free(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._load.closed(self)


def post(asked: HttpLoad) -> Answers:
    """Posts all and waits for the answers."""
    load = Load(asked)
    print(READY, flush=True)
    cpu = time.process_time()
    uvloop.run(load.run())
    return load.answers(time.process_time() - cpu)


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(post(receive(HttpLoad))).decode())
