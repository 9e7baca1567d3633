"""An online store in memory, which may fail, be slow, and lose everything. What it shares with the real one is in its contract's test."""

import threading
import time
from dataclasses import dataclass, field

from features.online.feast_store import ClaimLostError
from features.online.snapshot import Snapshot


@dataclass
class Contents:
    """What all writers of one store share. ``life`` is another after each loss; a position counts in the life it was noted in."""

    rows: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    positions: dict[int, int] = field(default_factory=dict)
    noted_in: dict[int, int] = field(default_factory=dict)
    owners: dict[int, "Store"] = field(default_factory=dict)
    life: int = 1


class Store:
    """One writer; ``another`` gives a second one of the same store."""

    def __init__(self, contents: Contents | None = None) -> None:
        self.contents = Contents() if contents is None else contents
        self.writes: list[Snapshot] = []
        self.failure: Exception | None = None
        self.failed = 0
        self.may_write = threading.Event()
        self.may_write.set()
        self.entered = threading.Event()
        self.busy = 0.0
        self.claimed: list[int] = []
        self._life = 0

    @property
    def rows(self) -> dict[str, tuple[bytes, int]]:
        return self.contents.rows

    @property
    def positions(self) -> dict[int, int]:
        return self.contents.positions

    def another(self) -> "Store":
        return Store(self.contents)

    def wipe(self) -> None:
        whole = self.contents
        for part in (whole.rows, whole.positions, whole.noted_in, whole.owners):
            part.clear()
        whole.life += 1

    def check(self) -> bool:
        self._answer()
        same, self._life = self._life == self.contents.life, self.contents.life
        return same

    def projected(self) -> dict[int, int]:
        self._answer()
        whole = self.contents
        return {number: at for number, at in whole.positions.items() if whole.noted_in.get(number, whole.life) == whole.life}

    def claim(self, partition: int) -> None:
        self._answer()
        self.claimed.append(partition)
        self.contents.owners[partition] = self

    def write(self, part: Snapshot) -> None:
        self._answer()
        self._require_own(part.partition)
        self.entered.set()
        self.may_write.wait()
        began = time.thread_time()
        while time.thread_time() < began + self.busy:
            pass
        self.contents.rows |= {key: (state, part.position) for key, state in zip(part.keys, part.states, strict=True)}
        self.writes.append(part)

    def set_projected(self, partition: int, position: int) -> None:
        self._answer()
        self._require_own(partition)
        self.contents.positions[partition] = position
        self.contents.noted_in[partition] = self._life

    def close(self) -> None:
        pass

    def _answer(self) -> None:
        if self.failure is not None:
            self.failed += 1
            raise self.failure

    def _require_own(self, partition: int) -> None:
        owner = self.contents.owners.get(partition)
        if owner is None:
            self.claim(partition)
        elif owner is not self:
            raise ClaimLostError("another's")
