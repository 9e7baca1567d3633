"""Ends the process when a call that should be over within seconds doesn't come back.

A Kafka client may wait for ever after an outage, whatever timeout it was given. Whether its transaction was committed is then unknown, so
nothing can be saved by waiting: the process starts over from what is committed.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5


def exit_now() -> None:
    """Ends the process, whatever hangs in it."""
    logging.shutdown()
    os._exit(1)


class StallWatch:
    """Watches one thread's calls from a thread of its own."""

    def __init__(self, end: Callable[[], None] = exit_now) -> None:
        self._end = end
        self._call: tuple[float, str] | None = None
        self._closing = threading.Event()
        threading.Thread(target=self._run, name="stall watch", daemon=True).start()

    @contextmanager
    def within(self, seconds: float, what: str) -> Iterator[None]:
        """The block takes less than so long, or the process ends; ``what`` is logged as the reason."""
        self._call = (time.monotonic() + seconds, f"{what} took more than {seconds:.0f} s")
        try:
            yield
        finally:
            self._call = None

    def close(self) -> None:
        """Watches no more."""
        self._closing.set()

    def _run(self) -> None:
        while not self._closing.wait(_LOOK_EVERY_S):
            call = self._call
            if call is not None and time.monotonic() > call[0]:
                logger.error("%s; the process ends, to start over from what is committed", call[1])
                self._end()
                return
