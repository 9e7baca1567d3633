"""Workers that are started, watched, killed and stopped by a campaign."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil

from streams.config import DeploymentConfig
from streams.workers import handover
from tests.faults.stage import Order
from tests.run.deployment import ROOT, eventually

STAGES = ("labels", "profiles", "ingest", "score")


class Fleet:
    """Some workers, each in a process group of its own. One that gives up is started again, as an init system would.

    ``ended``: how many did, rather than being killed.
    """

    def __init__(self, config: DeploymentConfig, folder: Path, sabotage: str = "", stages: Sequence[str] = STAGES) -> None:
        self._config = config
        self._stages = stages
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._environment = {**os.environ, "TIDEMARK_FAULTS": str(folder), "TIDEMARK_SABOTAGE": sabotage}
        self._workers: list[subprocess.Popen[bytes]] = []
        self.most_memory: dict[str, int] = {}
        self.ended = 0

    def __len__(self) -> int:
        return len(self._workers)

    def add(self) -> None:
        """Starts a worker."""
        with (self._folder / "workers.log").open("ab") as log:
            self._workers.append(
                handover.start(
                    [sys.executable, "-m", "tests.faults.worker", *self._stages],
                    self._config,
                    cwd=ROOT,
                    env=self._environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )

    def look_after(self) -> None:
        """Replaces workers that have ended, and notes the stages' memory."""
        for worker in [worker for worker in self._workers if worker.poll() is not None]:
            self._workers.remove(worker)
            self.ended += worker.returncode >= 0
            self.add()
        for stage in self._stages:
            for pid in self.pids(stage):
                with contextlib.suppress(psutil.NoSuchProcess):
                    self.most_memory[stage] = max(self.most_memory.get(stage, 0), psutil.Process(pid).memory_info().rss)

    def require_undisturbed(self) -> None:
        """Fails if a worker has given up, or its log says that a stage ended."""
        assert not self.ended, "a worker gave up"
        restarted = [line for line in self.lines() if "ended with status" in line or "can't run" in line or "tried again" in line]
        assert not restarted, restarted

    def lines(self) -> Sequence[str]:
        """What the workers have logged."""
        return logged_lines(self._folder)

    def memory(self, stage: str) -> int:
        """Bytes that the processes of a stage hold now."""
        return sum(psutil.Process(pid).memory_info().rss for pid in self.pids(stage))

    def watch(self, seconds: float) -> None:
        """Looks after the workers for a while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.look_after()
            time.sleep(0.1)

    def pids(self, stage: str) -> list[int]:
        """The process ids of a stage, one a worker."""
        found = []
        for worker in self._workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process(worker.pid).children():
                    with contextlib.suppress(psutil.NoSuchProcess, IndexError):
                        if child.cmdline()[4] == stage:
                            found.append(child.pid)
        return found

    def kill_stage(self, stage: str) -> None:
        """kill -9 of one process of the stage."""
        self._signal(self.pid(stage), signal.SIGKILL)

    def kill_worker(self) -> None:
        """kill -9 of a whole worker at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._workers[0].pid, signal.SIGKILL)
        self._workers[0].wait()

    def stall(self, stage: str, seconds: float) -> None:
        """SIGSTOP of one process of the stage, and SIGCONT after a while."""
        pid = self.pid(stage)
        self._signal(pid, signal.SIGSTOP)
        self.watch(seconds)
        self._signal(pid, signal.SIGCONT)

    def order(self, stage: str, order: Order) -> Path:
        """Has a process of the stage kill itself; returns the file that is gone once it has."""
        file = self._folder / f"{stage}.crash"
        new = file.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(order))
        new.replace(file)
        return file

    def remove(self) -> float:
        """SIGTERM to the oldest worker; returns how long it took to end, in s."""
        worker = self._workers.pop(0)
        began = time.monotonic()
        worker.terminate()
        worker.wait(30)
        return time.monotonic() - began

    def stop(self) -> float:
        """SIGTERM to all; returns how long the slowest took."""
        return max((self.remove() for _ in list(self._workers)), default=0.0)

    def kill(self) -> None:
        """Leaves nothing behind, whatever happened."""
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
        self._workers = []

    def pid(self, stage: str) -> int:
        """The process id of one of the stage's, waited for."""

        def running() -> bool:
            # A worker may just have given up, after too many kills in a minute.
            self.look_after()
            return bool(self.pids(stage))

        eventually(running, 60, f"a process of stage {stage}")
        return self.pids(stage)[0]

    @staticmethod
    def _signal(pid: int, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def logged_lines(folder: Path) -> Sequence[str]:
    """What the workers logged."""
    return (folder / "workers.log").read_text(errors="replace").splitlines()
