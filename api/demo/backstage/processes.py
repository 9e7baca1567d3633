"""The demo's child processes: each with a log of its own, and gone, with all of its own children, when the demo is."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from features.errors import UserError

_KILLED_WITHIN_S = 5.0


class Child:
    """One process, in a session of its own, so that Ctrl-C reaches only the demo, which then ends it in order."""

    def __init__(self, name: str, home: Path, module: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Runs ``python -m module PID arguments…``, where PID is our own, to end with. Call it from the main thread: to the kernel a
        child's parent is the thread that started it."""
        self.name = name
        self.log = home / "logs" / f"demo-{name}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, str(os.getpid()), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if module != _COMMAND else log,
                stderr=log,
                env={**os.environ, "PYTHONWARNINGS": "ignore", "TIDEMARK_HOME": str(home), **(environment or {})},
                start_new_session=True,
            )

    @classmethod
    def command(cls, name: str, home: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> "Child":
        """Runs ``tidemark arguments…``."""
        return cls(name, home, _COMMAND, arguments, environment)

    def check(self) -> None:
        """Raises UserError if it has ended."""
        status = self.process.poll()
        if status is not None:
            raise UserError(f"the demo's {self.name} process ended with status {status}; {self.last_words()}")

    def require_success(self) -> None:
        """Raises UserError, with its own error if it wrote one, if it has ended with another status than 0."""
        written = self.log.read_text(errors="replace").rpartition("error: ")
        if self.process.returncode and written[1]:
            raise UserError(written[2].strip())
        if self.process.returncode:
            self.check()

    def last_words(self) -> str:
        """A clause with the end of its log and where to see the rest."""
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return f"its last words: {lines[-1][:300]} (all of them: {self.log})" if lines else f"it reported nothing in {self.log}"

    def stop(self, patience: float) -> None:
        """Ends it: SIGTERM, and SIGKILL for whatever of it is left after ``patience`` seconds."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(patience)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(_KILLED_WITHIN_S)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


_COMMAND = "api.cli.child"
