"""Ctrl-C, SIGTERM and a closed terminal end the demo in order, whenever they come."""

import signal
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InterruptedDemoError(Exception):
    """The user has had enough."""


class Interruption:
    """Notes the signals during the block, for a main thread that looks often; so nothing is interrupted half-way, the end least of all."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def requested(self) -> bool:
        """Whether there was a signal."""
        return self.signal is not None

    @property
    def exit_status(self) -> int:
        """What a shell expects of a process that a signal has ended."""
        return 128 + (self.signal or 0)

    def check(self) -> None:
        """Raises InterruptedDemoError if there was a signal."""
        if self.requested:
            raise InterruptedDemoError

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.signal = self.signal or number
