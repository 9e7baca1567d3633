"""What a process of ours logs, to stderr and to a file of the home: in UTC, as text or JSON, without the passwords of addresses."""

import fcntl
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import MutableMapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from features.errors import UserError, redacted

FORMAT_VARIABLE = "TIDEMARK_LOG"
_FILE_VARIABLE = "TIDEMARK_LOG_FILE"
_COMPLAIN_EVERY_S = 10.0
_LIMIT_BYTES = 16_000_000  # a longer file is set aside (as .1) when its process starts


class Redacting(logging.Formatter):
    """Formats as ``logging`` does, exceptions included, with times in UTC, and masks the passwords in URLs."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802  # logging's own name
        """Such as 2026-01-31T09:30:00.123Z."""
        return f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S}.{int(record.msecs):03d}Z"

    def format(self, record: logging.LogRecord) -> str:
        """The line, or lines, to write."""
        return redacted(super().format(record))


class JsonLines(Redacting):
    """A JSON object a record: ``time`` (UTC), ``level``, ``process`` by its name among ours, ``logger``, ``message``, and ``exception`` if
    there is one."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        found = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "process": self._name or "tidemark",
            "logger": record.name,
            "message": redacted(record.getMessage()),
        }
        if record.exc_info:
            found["exception"] = redacted(self.formatException(record.exc_info))
        return json.dumps(found)


class StderrAndFile(logging.Handler):
    """Writes each line to stderr and, if one is named, to the end of a file that several processes share. It never raises: while the file
    can't be written, stderr says so once in ten seconds."""

    def __init__(self, file: Path | None) -> None:
        super().__init__()
        self._path, self._file = file, -1
        self._complained = -_COMPLAIN_EVERY_S

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the record to both."""
        line = self.format(record)
        with suppress(OSError, ValueError):
            print(line, file=sys.stderr, flush=True)
        self.to_file(line)

    def to_file(self, line: str) -> None:
        """Writes a line to the file alone."""
        if self._path is None:
            return
        try:
            os.write(self._opened(self._path), f"{line}\n".encode(errors="backslashreplace"))
        except OSError as error:
            if time.monotonic() >= self._complained + _COMPLAIN_EVERY_S:
                self._complained = time.monotonic()
                with suppress(OSError, ValueError):
                    print(f"this log can't be kept in {self._path} ({error.strerror}); it goes on here", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Closes the file."""
        self._let_go()
        super().close()

    def _let_go(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _opened(self, path: Path) -> int:
        """The file of that name, which somebody may have moved away or removed."""
        try:
            there = path.stat()
        except FileNotFoundError:
            there = None
        if self._file >= 0 and there is not None and os.path.samestat(there, os.fstat(self._file)):
            return self._file
        self._let_go()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        return self._file


def log_to_stderr(level: int, name: str = "") -> None:
    """Has everything of this level and above go to stderr, ``name`` in each line, and to the file that ``log_to_file`` has named for this
    process and its children. Raises UserError if TIDEMARK_LOG is neither text nor json."""
    file = os.environ.get(_FILE_VARIABLE)
    handler = StderrAndFile(Path(file) if file else None)
    handler.setFormatter(_formatter(name))
    logging.basicConfig(level=level, handlers=[handler])
    redact_the_rest()


def log_to_file(file: Path, environment: MutableMapping[str, str] = os.environ) -> None:
    """Names the file that this process, and its children, will log to beside stderr; one that has grown large is set aside."""
    environment[_FILE_VARIABLE] = str(file)
    with suppress(OSError), file.open("rb") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)  # of several that start at once one sets it aside
        if os.path.samestat(file.stat(), os.fstat(opened.fileno())) and os.fstat(opened.fileno()).st_size > _LIMIT_BYTES:
            file.replace(file.with_name(file.name + ".1"))


def note_in_file(error: Exception) -> None:
    """Logs to the file alone what the command itself says on stderr."""
    record = logging.makeLogRecord({"name": __name__, "levelno": logging.ERROR, "levelname": "ERROR", "msg": str(error)})
    for handler in logging.getLogger().handlers:
        if isinstance(handler, StderrAndFile):
            handler.to_file(handler.format(record))


def redact_the_rest() -> None:
    """Masks passwords in what goes to stderr where no log is set up, warnings and above, and in the traceback of an uncaught exception."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(Redacting())
    sys.excepthook = _uncaught


def require_format() -> None:
    """Raises UserError if TIDEMARK_LOG is neither text nor json."""
    _formatter("")


def _formatter(name: str) -> logging.Formatter:
    chosen = os.environ.get(FORMAT_VARIABLE) or "text"
    if chosen == "json":
        return JsonLines(name)
    if chosen == "text":
        return Redacting(f"%(asctime)s %(levelname)s {name + ': ' if name else ''}%(message)s")
    raise UserError(f"{FORMAT_VARIABLE}={chosen} is no way to write a log; use text or json")


def _uncaught(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    root = logging.getLogger()
    if root.handlers:
        root.critical("%s", error, exc_info=(kind, error, where))
    else:
        sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, where))))
