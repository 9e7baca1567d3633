"""One line for an outage of Kafka and one every ten seconds while it lasts, whatever the clients of all of a worker's stages say of it."""

import contextlib
import fcntl
import logging
import os
import re
import struct
import tempfile
import time
from collections.abc import Callable

_VARIABLE = "TIDEMARK_OUTAGE_TURN"
_EVERY_S = 10.0
_MOMENT = struct.Struct(">d")
_LIBRARIES = ("aiokafka.", "streams.kafka.librdkafka.")
_WATCHDOG = "the watchdog could not look"
# What clients log because a broker can't be reached; what they log for other reasons passes.
_OF_AN_OUTAGE = re.compile(
    r"connect|brokers? (?:are|is) down|NodeNotReady|unable to (?:request|update) metadata|failed to (?:fetch|update) metadata|heartbeat"
    r"|coordinator|timed? ?out|unavailable|not ready|socket",
    re.IGNORECASE,
)


class Turn:
    """Whose turn it is to speak of an outage, among the processes that inherit it. Close it after use."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # see close
        self._file.write(_MOMENT.pack(-_EVERY_S))
        self._file.flush()

    @property
    def descriptor(self) -> int:
        """The file descriptor that the processes inherit."""
        return self._file.fileno()

    def environment(self) -> dict[str, str]:
        """The environment by which they find it."""
        return {_VARIABLE: str(self.descriptor)}

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()


def _take(descriptor: int, now: float) -> bool:
    """Whether nobody has spoken for ten seconds; then it is this process' turn."""
    fcntl.lockf(descriptor, fcntl.LOCK_EX)
    try:
        (spoken,) = _MOMENT.unpack(os.pread(descriptor, _MOMENT.size, 0))
        if 0 <= now - spoken < _EVERY_S:
            return False
        os.pwrite(descriptor, _MOMENT.pack(now), 0)
        return True
    finally:
        fcntl.lockf(descriptor, fcntl.LOCK_UN)


class SayOutagesOnce(logging.Filter):
    """For a handler of a stage's process: lets what Kafka's clients say of an outage through as one line in ten seconds of all stages."""

    def __init__(self, servers: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._servers, self._clock = servers, clock
        self._descriptor = _inherited()

    def filter(self, record: logging.LogRecord) -> bool:
        """See ``logging.Filter``."""
        said = record.getMessage()
        if self._descriptor is None or not (f"{record.name}.".startswith(_LIBRARIES) or said.startswith(_WATCHDOG)):
            return True
        if _OF_AN_OUTAGE.search(said) is None:
            return True
        if not _take(self._descriptor, self._clock()):
            return False
        record.msg, record.args, record.exc_info = f"Kafka at {self._servers} can't be reached now: {said}", (), None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


def _inherited() -> int | None:
    with contextlib.suppress(KeyError, ValueError, OSError, struct.error):
        found = int(os.environ[_VARIABLE])
        _MOMENT.unpack(os.pread(found, _MOMENT.size, 0))
        return found
    return None
