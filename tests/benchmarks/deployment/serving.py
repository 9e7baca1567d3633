"""The API of a benchmark's deployment, as anyone would start it."""

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from features.errors import UserError
from infra.local import ports
from tests.benchmarks.deployment.command import tidemark
from tests.benchmarks.deployment.deployment import Deployment

_READY_WITHIN_S = 60.0
_STOPPED_WITHIN_S = 20.0


@dataclass(frozen=True)
class Served:
    """Where it listens on 127.0.0.1, and its process id."""

    port: int
    pid: int


@contextmanager
def serving(deployment: Deployment) -> Iterator[Served]:
    """``tidemark serve`` in a process of its own, ready; ended with the block. Raises UserError if it isn't ready within a minute."""
    port = ports.choose([], set())
    process = subprocess.Popen(
        tidemark("serve", "--port", str(port)),
        env=deployment.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_until_ready(process, f"http://127.0.0.1:{port}/readyz")
        yield Served(port, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(_STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: "subprocess.Popen[bytes]", url: str) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    said = "nothing"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise UserError(f"the API ended with status {process.returncode}; fix what its message above says and measure again")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")
        except OSError as error:
            said = str(error)
        time.sleep(0.2)
    raise UserError(f"the API isn't ready after {_READY_WITHIN_S:.0f} s; it says {said}")
