"""What a recomputation holds for later: rows that the order hasn't come to, the states that are asked for as of positions ahead, and when
each key changed last."""

from bisect import bisect_right, insort
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from features.arrays import Int64, RecordKind
from features.state import EntityState


@dataclass
class AskedStates:
    """The keys whose states are asked for as of offsets of one partition."""

    _keys: dict[int, set[str]] = field(default_factory=dict)
    # Ascending; those before the head are answered.
    _offsets: list[int] = field(default_factory=list)
    _head: int = 0

    def add(self, offset: int, key: str) -> None:
        """Asks for a key's state as of an offset."""
        if offset not in self._keys:
            insort(self._offsets, offset, self._head)
        self._keys.setdefault(offset, set()).add(key)

    def within(self, last: int) -> list[int]:
        """The offsets up to ``last`` that are asked for."""
        return self._offsets[self._head : bisect_right(self._offsets, last, self._head)]

    def reached(self, position: int) -> Iterator[tuple[int, set[str]]]:
        """Takes out the offsets before a position, with their keys."""
        for offset in self.within(position - 1):
            self._head += 1
            yield offset, self._keys.pop(offset)
        if self._head == len(self._offsets):
            self._offsets, self._head = [], 0


@dataclass
class Changes:
    """The offset at which each key of a partition changed last, by slot; −1 for none so far."""

    _last: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))

    def note(self, state: EntityState, rows: pa.RecordBatch, column: str, offsets: Int64) -> None:
        """Rows that were applied to ``state``, with their keys in this column; the offsets never fall."""
        taken = rows["kind"].to_numpy() != RecordKind.REFUSED
        names = rows.filter(pa.array(taken))[column].to_pylist()
        slots = [state.keys.get(name, -1) for name in names]
        last = self._reaching(len(state))
        known = np.array(slots, np.int64)
        last[known[known >= 0]] = np.asarray(offsets)[taken][known >= 0]

    def of(self, keys: int) -> Int64:
        """Those of so many slots."""
        return self._reaching(keys)[:keys]

    def _reaching(self, keys: int) -> Int64:
        if keys > len(self._last):
            self._last = np.concatenate([self._last, np.full(2 * keys - len(self._last), -1, np.int64)])
        return self._last


@dataclass
class WaitingRows:
    """Recomputed rows of one source for one merchant partition that no order has named yet; ``rows`` are in pieces."""

    rows: deque[pa.RecordBatch] = field(default_factory=deque)

    def append(self, rows: pa.RecordBatch) -> None:
        """Adds rows with later offsets."""
        self.rows.append(rows)

    def take(self, last: int) -> pa.Table | None:
        """The rows with offsets up to ``last``, None if there are none."""
        taken = []
        while self.rows and self.rows[0]["offset"][0].as_py() <= last:
            head = self.rows.popleft()
            n = int(np.searchsorted(head["offset"].to_numpy(), last, side="right"))
            taken.append(head.slice(0, n))
            if n < len(head):
                self.rows.appendleft(head.slice(n))
        return pa.Table.from_batches(taken) if taken else None
