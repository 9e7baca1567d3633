"""A worker: one process a stage, started, watched, restarted and stopped together."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence

from features.errors import UserError
from streams.config import PROFILES, DeploymentConfig
from streams.workers import handover
from streams.workers.stages import STAGES

logger = logging.getLogger(__name__)

# Exit statuses.
DONE, REFUSED = 0, 2

_STOP_S = 9.0
_SAY_S = 0.1
_LOOK_S = 0.25
_MOST_RESTARTS, _RESTART_WINDOW_S = 5, 60.0


class Worker:
    """The stages' processes, in the caller's process group. A process that fails starts over from what is committed.

    ``program`` is the module that runs a stage, ``arguments`` what it gets beside. A ``finite`` one ends with DONE when it has done its
    work, with REFUSED when it has said why it can't; it isn't started again then.
    """

    def __init__(
        self,
        config: DeploymentConfig,
        stages: Sequence[str] = tuple(STAGES),
        program: str = "streams.workers.stage_process",
        arguments: Sequence[str] = (),
        *,
        finite: bool = False,
    ) -> None:
        unknown = [stage for stage in stages if stage not in STAGES]
        if unknown or not stages:
            raise UserError(f"there is no stage {', '.join(unknown) or '(none given)'}; choose from {', '.join(STAGES)}")
        self._config = config
        self._program, self._arguments = program, tuple(arguments)
        self._finite = finite
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._restarts: deque[float] = deque(maxlen=_MOST_RESTARTS)
        # Profiles are kept for the online store alone.
        self.stages = tuple(stage for stage in stages if config.online or stage != PROFILES)

    def start(self) -> None:
        """Starts every stage."""
        for stage in self.stages:
            self._start(stage)

    def run(self, until: Callable[[], bool]) -> bool:
        """Watches the stages until ``until()`` is true, or a finite one ends; False if that refused, or one failed more than five times in
        a minute."""
        while not until():
            for stage, process in self._processes.items():
                if process.poll() is None:
                    continue
                if self._finite and process.returncode in (DONE, REFUSED):
                    return process.returncode == DONE
                now = time.monotonic()
                if len(self._restarts) == _MOST_RESTARTS and now - self._restarts[0] < _RESTART_WINDOW_S:
                    logger.error("stage %s ended with status %s again; giving up, see its messages above", stage, process.returncode)
                    return False
                logger.warning("stage %s ended with status %s; starting it again", stage, process.returncode)
                self._restarts.append(now)
                self._start(stage)
            time.sleep(_LOOK_S)
        return True

    def stop(self) -> None:
        """Ends all stages: SIGTERM, and SIGKILL for what is still there after 9 s, which is asked first to say where it stands."""
        for process in self._processes.values():
            process.terminate()
        deadline = time.monotonic() + _STOP_S
        for stage, process in self._processes.items():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                logger.error("stage %s didn't end within %.0f s of SIGTERM; killed", stage, _STOP_S)
                process.send_signal(signal.SIGQUIT)
                time.sleep(_SAY_S)
                process.kill()
                process.wait()

    def pids(self) -> dict[str, int]:
        """The process id of each stage."""
        return {stage: process.pid for stage, process in self._processes.items()}

    def _start(self, stage: str) -> None:
        command = [sys.executable, "-m", self._program, str(os.getpid()), stage, *self._arguments]
        self._processes[stage] = handover.start(command, self._config)
