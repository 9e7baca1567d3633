"""A worker that can be killed as a whole, and what it says of its recovery."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from features.errors import UserError
from streams.config import INGEST, SCORE
from tests.benchmarks.deployment.command import tidemark
from tests.benchmarks.deployment.deployment import Deployment

_STOPPED_WITHIN_S = 30.0
_RECOVERED = re.compile(r"(\w+): recovered \S+\[\d+\]: (\d+) keys, then offsets (\d+) to (\d+), in ([\d.]+) s")


class KillableWorker:
    """``tidemark worker`` in a process group of its own; its messages go to ``log``."""

    def __init__(self, deployment: Deployment, log: Path) -> None:
        self.log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                tidemark("worker"),
                env=deployment.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pids(self) -> dict[str, int]:
        """Its own process id, to see whether it is there."""
        return {"the worker": self._process.pid}

    def kill(self) -> None:
        """SIGKILL to all of its processes at once."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Ends it cleanly. Raises UserError if it doesn't."""
        self._process.terminate()
        try:
            status = self._process.wait(_STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            status = None
        if status != 0:
            raise UserError(f"the worker did not stop as it should (status {status}); the end of its log: {self.last_words()}")

    def last_words(self) -> str:
        """The end of its log."""
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-5:])


@contextmanager
def killable(deployment: Deployment, log: Path) -> Iterator[KillableWorker]:
    """A worker that is gone after the block, however that ends."""
    worker = KillableWorker(deployment, log)
    try:
        yield worker
    finally:
        worker.kill()


def recovered(lines: Sequence[str]) -> dict[str, dict[str, Any]]:
    """By stage, from a worker's log: how many keys its partitions read, how many records they applied again, and the seconds of all one
    after the other."""
    found = [match.groups() for match in map(_RECOVERED.search, lines) if match]
    return {
        stage: {
            "keys": sum(int(keys) for of, keys, *_ in found if of == stage),
            "applied_again": sum(int(end) - int(begin) for of, _, begin, end, _ in found if of == stage),
            "seconds": round(sum(float(seconds) for of, *_, seconds in found if of == stage), 1),
        }
        for stage in (INGEST, SCORE)
    }
