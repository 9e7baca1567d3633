"""A stage's process that can be made to die between any two of its side effects, or to cheat: ``streams/workers/stage_process.py`` with
taps.

``TIDEMARK_FAULTS`` names a folder. A file ``<stage>.crash`` there, ``{"point": …, "nth": …}``, has the process kill itself right after
that side effect has happened for the nth time from then on; the file is removed just before. ``TIDEMARK_SABOTAGE`` names one of
``SABOTAGE``, the ways to break a promise.
"""

import contextlib
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from streams.workers.stage_process import run


class Order(msgspec.Struct):
    """Where to die."""

    point: str
    nth: int = 1


class Trigger:
    """Kills the process at the ordered point."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._order: Order | None = None
        threading.Thread(target=self._watch, name="orders", daemon=True).start()

    def reached(self, point: str) -> None:
        """A side effect has happened."""
        order = self._order
        if order is None or order.point != point:
            return
        order.nth -= 1
        if order.nth <= 0:
            self._file.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    def _watch(self) -> None:
        while True:
            if self._order is None and self._file.exists():
                self._order = msgspec.json.decode(self._file.read_bytes(), type=Order)
            time.sleep(0.02)


class TappedProducer:
    """A producer whose side effects are reported to the trigger."""

    def __init__(self, producer: Any, trigger: Trigger) -> None:
        self._producer, self._trigger = producer, trigger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def produce(self, topic: str, *arguments: Any, **named: Any) -> None:
        self._producer.produce(topic, *arguments, **named)
        self._trigger.reached(f"produce {topic}")

    def produce_batch(self, topic: str, messages: Sequence[Any], **named: Any) -> int:
        # One at a time, for it may die between any two.
        taken = 0
        for message in messages:
            taken += self._producer.produce_batch(topic, [message], **named)
            self._trigger.reached(f"produce {topic}")
        return taken

    def __len__(self) -> int:
        return len(self._producer)

    def flush(self, *arguments: Any) -> Any:
        left = self._producer.flush(*arguments)
        self._trigger.reached("flush")
        return left

    def begin_transaction(self) -> None:
        self._producer.begin_transaction()
        self._trigger.reached("begin transaction")

    def send_offsets_to_transaction(self, *arguments: Any) -> None:
        self._producer.send_offsets_to_transaction(*arguments)
        self._trigger.reached("send offsets")

    def commit_transaction(self, *arguments: Any) -> None:
        self._producer.commit_transaction(*arguments)
        self._trigger.reached("commit transaction")


def after(function: Callable[..., Any], reached: Callable[[], None]) -> Callable[..., Any]:
    def tapped(*arguments: Any, **named: Any) -> Any:
        result = function(*arguments, **named)
        reached()
        return result

    return tapped


def tap(trigger: Trigger) -> None:
    """Has every side effect of this process reported to the trigger."""
    from features.online.feast_store import OnlineWriter
    from streams.kafka.producer import StageProducer
    from streams.workers.faust_transport import Consumer

    opened = StageProducer.__init__

    def open_tapped(self: StageProducer, *arguments: Any, **named: Any) -> None:
        opened(self, *arguments, **named)
        self._producer = TappedProducer(self._producer, trigger)

    StageProducer.__init__ = open_tapped  # type: ignore[method-assign]
    OnlineWriter.claim = after(OnlineWriter.claim, lambda: trigger.reached("claim"))  # type: ignore[method-assign]
    OnlineWriter.write = after(OnlineWriter.write, lambda: trigger.reached("project"))  # type: ignore[method-assign]
    OnlineWriter.set_projected = after(OnlineWriter.set_projected, lambda: trigger.reached("set projected"))  # type: ignore[method-assign]
    committed = Consumer.commit_positions

    async def commit_tapped(self: Consumer, topic: str, positions: Any) -> None:
        await committed(self, topic, positions)
        trigger.reached("commit positions")

    Consumer.commit_positions = commit_tapped  # type: ignore[method-assign]


def acknowledge_early() -> None:
    """INGEST commits a turn's positions before its records are sent: they wait for the next turn, or for the stream to rest."""
    from streams.delivery.kafka_delivery import AtLeastOnce

    held: list[tuple[float, Any]] = []

    def send_held(self: Any, everything: bool) -> None:
        now = time.monotonic()
        for since, late in held[:]:
            if everything or now - since > _REST_S:
                late(self._producer)
                held.clear()

    def deliver(self: Any, send: Any, positions: Any, states: Any) -> Any:
        send_held(self, everything=True)
        held.append((time.monotonic(), send))
        self._settled |= positions
        return self._saves.commit(None, self._settled, states) if states else dict(positions)

    def save(self: Any, states: Any) -> Any:
        send_held(self, everything=False)
        return self._saves.commit(None, self._settled, states) if states else {}

    AtLeastOnce.save = save  # type: ignore[method-assign]
    AtLeastOnce.deliver = deliver  # type: ignore[method-assign]


def drop_one() -> None:
    """SCORE leaves out one decision."""
    _change_decisions(lambda decisions: decisions[1:])


def emit_twice() -> None:
    """SCORE says one decision twice."""
    _change_decisions(lambda decisions: [*decisions, decisions[0]])


def double_count() -> None:
    """A merchant's state counts one transaction twice."""
    from features.state import EntityState

    applied, done = EntityState.apply, []

    def apply(self: EntityState, kind: Any, slots: Any, *columns: Any) -> Any:
        result = applied(self, kind, slots, *columns)
        if not done and self.entity == "merchant" and len(slots):
            done.append(True)
            applied(self, kind[:1], slots[:1], *(column[:1] for column in columns))
        return result

    EntityState.apply = apply  # type: ignore[method-assign]


def trust_everyone() -> None:
    """Whoever reads a topic that only we write takes each record of it for ours."""
    from streams.messages.seal import Seal

    Seal.is_ours = lambda *_: True  # type: ignore[method-assign,assignment]


def _change_decisions(change: Callable[[Sequence[Any]], list[Any]]) -> None:
    from dataclasses import replace

    from streams.stages import kafka_score

    decide, done = kafka_score.decide_each, []

    def decide_badly(*arguments: Any, **named: Any) -> Any:
        outcome = decide(*arguments, **named)
        if len(outcome.decisions) and not done:
            done.append(True)
            return replace(outcome, decisions=change(outcome.decisions))
        return outcome

    kafka_score.decide_each = decide_badly


def fail_on_some() -> None:
    """No sabotage: users' and merchants' states, and the model, fail on some records, as a bug would have it."""
    import numpy as np

    from features.state import EntityState
    from models.scoring import Scorer

    applied, scored = EntityState.apply, Scorer.score

    def apply(self: EntityState, kind: Any, slots: Any, time_: Any, amount: Any, *columns: Any) -> Any:
        # Only after part of it is done, as it would be.
        result = applied(self, kind, slots, time_, amount, *columns)
        if (np.asarray(amount) == FAILING[self.entity]).any():
            raise RuntimeError(f"can't count {FAILING[self.entity]}")
        return result

    def score(self: Scorer, vectors: Any) -> Any:
        if (vectors[:, 0] == FAILING["model"]).any():
            raise RuntimeError(f"can't score {FAILING['model']}")
        return scored(self, vectors)

    EntityState.apply = apply  # type: ignore[method-assign]
    Scorer.score = score  # type: ignore[method-assign]


def short_of_memory() -> None:
    """No sabotage: the first INGEST gets no more memory than it has for a turn of thousands of records, as under a limit."""
    from streams.stages import kafka_ingest

    ingest, was_short = kafka_ingest.ingest, Path(os.environ["TIDEMARK_FAULTS"]) / "was-short"
    if was_short.exists():
        return

    turns = count()

    def limited(turn: Sequence[Any], *arguments: Any) -> Any:
        # The first turns load the kernel: without memory for that, LLVM ends the process by itself.
        if next(turns) < _WARM_TURNS or sum(len(records) for _, records in turn) <= _LARGE_TURN:
            return ingest(turn, *arguments)
        was_short.touch()
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize(), most))
        hoard = []
        try:
            # What the process has asked for and doesn't use would last for a while.
            with contextlib.suppress(MemoryError):
                while True:
                    hoard.append(bytearray(_CHUNK))
            return ingest(turn, *arguments)
        finally:
            hoard.clear()
            resource.setrlimit(resource.RLIMIT_AS, (most, most))

    kafka_ingest.ingest = limited


_REST_S = 0.5
_WARM_TURNS, _LARGE_TURN, _CHUNK = 20, 3_000, 1 << 15

# Amounts that no other transaction has.
FAILING = {"user": 1_000_001, "merchant": 1_000_002, "model": 1_000_003}

SABOTAGE = {
    each.__name__: each for each in (acknowledge_early, drop_one, emit_twice, double_count, trust_everyone, fail_on_some, short_of_memory)
}


def _prepare(stage: str) -> None:
    tap(Trigger(Path(os.environ["TIDEMARK_FAULTS"]) / f"{stage}.crash"))
    sabotage = os.environ.get("TIDEMARK_SABOTAGE")
    if sabotage:
        SABOTAGE[sabotage]()


if __name__ == "__main__":
    run(_prepare)
