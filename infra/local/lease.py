"""A lease on a file: one owner at a time, until it lets go, dies, or its time is over."""

import fcntl
import json
import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from infra.local.errors import ServiceError


class Lease:
    """Taken for the block, if it is free; else ``held_by`` names who has it, and the block should do nothing.

    An owner on this machine whose process is gone has lost it; one on another has it for ``seconds`` from when it took it.
    """

    def __init__(self, file: Path, seconds: float) -> None:
        self._file, self._seconds = file, seconds
        self.held_by: str | None = None

    def __enter__(self) -> Self:
        now = time.time()
        with _locked(self._file) as content:
            owner = content.read()
            if owner is not None and float(str(owner["until"])) > now and _lives(owner):
                self.held_by = f"process {owner['pid']} on {owner['host']} since {owner['since']}"
            else:
                since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
                content.write({**_self(), "since": since, "until": now + self._seconds})
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.held_by is not None:
            return
        with _locked(self._file) as content:
            owner = content.read()
            # Somebody else's by now, if ours ran out.
            if owner is not None and all(owner.get(name) == value for name, value in _self().items()):
                content.write(None)


class _locked:  # noqa: N801  # a block, not a thing
    """The file's content, to be read and written by nobody else for the block."""

    def __init__(self, file: Path) -> None:
        self._path = file

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise ServiceError(f"{self._path} can't be written: {error.strerror}; give a TIDEMARK_HOME where you may write") from None
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def read(self) -> dict[str, object] | None:
        content = os.pread(self._descriptor, 4_096, 0)
        try:
            return dict(json.loads(content)) if content.strip() else None
        except (ValueError, TypeError, RecursionError):  # whoever wrote it died at it
            return None

    def write(self, owner: dict[str, object] | None) -> None:
        os.ftruncate(self._descriptor, 0)
        if owner is not None:
            os.pwrite(self._descriptor, json.dumps(owner).encode(), 0)


def _self() -> dict[str, object]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "born": psutil.Process().create_time()}


def _lives(owner: dict[str, object]) -> bool:
    if owner["host"] != socket.gethostname():
        return True
    try:
        return bool(psutil.Process(int(str(owner["pid"]))).create_time() == owner["born"])
    except psutil.NoSuchProcess:
        return False
