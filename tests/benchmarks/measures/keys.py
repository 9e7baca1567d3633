"""``bench keys``: what a key costs in a worker's memory, and an update in CPU, as the keys of one process become more.

Each number of keys is measured in a process of its own: ``python -m tests.benchmarks.measures.keys`` takes an ``Asked`` as JSON and prints
a ``Found``.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import psutil

from features.arrays import RecordKind
from features.definitions import DAY, FEATURE_SETS, Entity
from features.errors import UserError
from features.state import EntityState

_FEATURES = "fraud_v1"
_START_MS = 17_622 * DAY
_SPAN_MS = 30 * DAY
_BLOCK = 8_192
# The last so many updates are timed: by then every key is there.
_TIMED = 1_000_000
# A card's month.
TYPICAL = 60


@dataclass(frozen=True)
class Spec:
    """What to measure: so many users, each with ``each`` transactions in 30 days on average; and 20,000 with a typical card's 60."""

    keys: tuple[int, ...] = (10_000, 100_000, 1_000_000, 10_000_000)
    each: int = 4

    def quick(self) -> "Spec":
        """The same within three minutes."""
        return Spec(tuple(keys for keys in self.keys if keys <= 1_000_000), self.each)


class Asked(msgspec.Struct, frozen=True):
    """So many keys with ``each`` transactions."""

    keys: int
    each: int
    entity: Entity = "user"


class Found(msgspec.Struct, frozen=True):
    """Resident memory in bytes a key, without what the process takes before the first, and CPU of the kernel in µs an update; an encoded
    state's mean size in bytes."""

    bytes_per_key: float
    us_per_update: float
    encoded_bytes: float


def run(spec: Spec, report: Callable[[str], None]) -> dict[str, Any]:
    """Measures and returns the figures (see ``Found``), by number of keys; ``report`` gets a line after each. Raises UserError if there is
    not enough memory."""
    found = {}
    for keys in spec.keys:
        found[str(keys)] = _measured(Asked(keys, spec.each))
        report(_line(f"{keys:,} keys", found[str(keys)]))
    typical = _measured(Asked(20_000, TYPICAL))
    report(_line(f"typical keys, {TYPICAL} transactions each", typical))
    return {"features": _FEATURES, "transactions_per_key": spec.each, "keys": found, "typical": typical}


def _line(about: str, found: dict[str, float]) -> str:
    return f"{about}: {found['bytes_per_key']:,.0f} bytes each, {found['us_per_update']:.2f} µs an update"


def _measured(asked: Asked) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.measures.keys", msgspec.json.encode(asked).decode()]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise UserError(
            f"{asked.keys:,} keys could not be measured, this machine may have too little memory for them: {done.stderr[-500:]}"
        )
    return msgspec.to_builtins(msgspec.json.decode(done.stdout, type=Found))  # type: ignore[no-any-return]


def measure(asked: Asked) -> Found:
    """Fills a state and looks at it, in this process."""
    feature_set, process = FEATURE_SETS[_FEATURES], psutil.Process()
    rng = np.random.default_rng(0)
    # Compiled, or loaded, before anything is looked at.
    first = EntityState(feature_set, asked.entity)
    _apply(first, first.slots(["user-0"]), np.full(1, _START_MS), rng)
    before = process.memory_info().rss
    state = EntityState(feature_set, asked.entity)
    updates = asked.keys * asked.each
    cpu = timed = 0.0
    for begin in range(0, updates, _BLOCK):
        n = min(_BLOCK, updates - begin)
        time_of = _START_MS + (np.arange(begin, begin + n) * (_SPAN_MS / updates)).astype(np.int64)
        # Each once at first, so that all are there; then whoever comes.
        chosen = np.arange(begin, begin + n) if begin + n <= asked.keys else rng.integers(0, asked.keys, n)
        slots = state.slots([f"user-{number}" for number in chosen.tolist()])
        took = _apply(state, slots, time_of, rng)
        if begin >= max(asked.keys, updates - _TIMED):
            cpu, timed = cpu + took, timed + n
    memory = process.memory_info().rss - before
    some = rng.integers(0, asked.keys, min(asked.keys, 2_000))
    encoded = sum(map(len, state.encode(np.unique(some)))) / len(np.unique(some))
    return Found(round(memory / asked.keys, 1), round(cpu / timed * 1e6, 3), round(encoded, 1))


def _apply(state: EntityState, slots: np.ndarray, time_of: np.ndarray, rng: np.random.Generator) -> float:
    """Applies a transaction of each; returns the CPU seconds."""
    n = len(slots)
    none, amount = np.zeros(n, np.int64), rng.integers(100, 20_000, n)
    began = time.process_time()
    state.apply(np.full(n, RecordKind.TRANSACTION, np.int8), slots, time_of, amount, none, none)
    return time.process_time() - began


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(measure(msgspec.json.decode(sys.argv[1], type=Asked))).decode())
