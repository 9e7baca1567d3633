"""Leaves out what a library logs over and over: while a broker is away its clients would say so some hundred times a second."""

import logging
import time
from collections.abc import Callable


class LeaveOutRepeated(logging.Filter):
    """Lets a message of the ``library``'s loggers through once in ``every_s`` seconds, whatever its figures, and says how many were not.

    Everybody else's pass. For a handler, or for a logger. Where a library logs all by one form, the first of what fills it says which kind
    of message it is.
    """

    def __init__(self, library: str, every_s: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._library, self._every_s, self._clock = library, every_s, clock
        self._logged: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """See ``logging.Filter``."""
        if not f"{record.name}.".startswith(f"{self._library}."):
            return True
        what, now = (record.name, _kind(record)), self._clock()
        since, left_out = self._logged.get(what, (now - self._every_s, 0))
        if now < since + self._every_s:
            self._logged[what] = since, left_out + 1
            return False
        self._logged[what] = now, 0
        if left_out:
            record.msg, record.args = f"{record.getMessage()} (and {left_out} more like this in {now - since:.0f} s)", ()
        return True


def _kind(record: logging.LogRecord) -> str:
    fills = record.args if isinstance(record.args, tuple) else ()
    return f"{record.msg} {fills[0]}" if fills and str(record.msg).startswith("%s") else str(record.msg)
