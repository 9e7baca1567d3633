"""What a process of ours writes to stderr: its log and its last traceback, without the passwords of addresses."""

import logging
import sys
import traceback
from types import TracebackType

from features.errors import redacted


class Redacting(logging.Formatter):
    """Formats as ``logging`` does, exceptions included, and masks the passwords in URLs."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, or lines, to write."""
        return redacted(super().format(record))


def log_to_stderr(level: int, name: str = "") -> None:
    """Has everything of this level and above go to stderr, ``name`` in each line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Redacting(f"%(asctime)s %(levelname)s {name + ': ' if name else ''}%(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    redact_the_rest()


def redact_the_rest() -> None:
    """Masks passwords in what goes to stderr where no log is set up, warnings and above, and in the traceback of an uncaught exception."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(Redacting())
    sys.excepthook = _uncaught


def _uncaught(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, where))))
