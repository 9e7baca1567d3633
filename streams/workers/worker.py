"""A worker: one process a stage, started, watched, restarted and stopped together."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from features.errors import UserError
from streams.config import DECIDING, INGEST, SCORE, DeploymentConfig
from streams.workers import handover
from streams.workers.backoff import Backoff
from streams.workers.notes import Notes
from streams.workers.outage_log import Turn
from streams.workers.stages import chosen
from streams.workers.statuses import DONE, REFUSED, UNAVAILABLE

logger = logging.getLogger(__name__)

# Without these nothing is decided.
ESSENTIAL = frozenset({INGEST, SCORE})

_STOP_S = 9.0
_SAY_S = 0.1
_LOOK_S = 0.25
_REMIND_EVERY_S = 60.0
# Where somebody waits for the end of the work.
_MOST_FAILURES = 5


@dataclass
class _Running:
    """A stage: the process at present, or the last one while the next start is waited for, ``due`` then; ``down``: why it is given up."""

    name: str
    process: "subprocess.Popen[bytes]"
    notes: Notes
    started: float
    backoff: Backoff = field(default_factory=Backoff)
    due: float | None = None
    down: str = ""
    reminded: float = 0.0


class Worker:
    """The stages' processes, in the caller's process group. A process that fails starts over from what is committed.

    Each stage stands for itself. One that failed is started again at once, then after 1, 2, 4 … 60 s, as often as it takes
    (``streams/workers/backoff.py``). One that only an operator can fix isn't: INGEST and SCORE end the worker, for without them nothing is
    decided; without another the rest goes on, and the log says once a minute which is down and why.

    ``program`` is the module that runs a stage, ``arguments`` what it gets beside. A ``finite`` one ends with DONE when it has done its
    work, with REFUSED when it has said why it can't; it isn't started again then.
    """

    def __init__(
        self,
        config: DeploymentConfig,
        stages: Sequence[str] = DECIDING,
        program: str = "streams.workers.stage_process",
        arguments: Sequence[str] = (),
        *,
        finite: bool = False,
    ) -> None:
        self.stages = chosen(stages, config.online)
        self._config = config
        self._program, self._arguments = program, tuple(arguments)
        self._finite = finite
        self._running: dict[str, _Running] = {}
        self._turn = Turn()

    def start(self) -> None:
        """Starts every stage."""
        for stage in self.stages:
            self._running[stage] = _Running(stage, *self._started(stage))

    def run(self, until: Callable[[], bool], *, patient: bool = True) -> bool:
        """Watches the stages until ``until()`` is true, or a finite one ends; False if that refused, or if a stage is down in the end.

        Where somebody waits for the end of the work, not ``patient`` or finite, it is False too once a stage failed six times in a row, and
        no stage may be down. Raises UserError with the stage's own sentence where only an operator can fix it; see the class.
        """
        while not until():
            for stage in self._running.values():
                status = self._ended(stage)
                if status is None:
                    continue
                if self._finite and status in (DONE, REFUSED):
                    return status == DONE
                if status == REFUSED:
                    self._give_up(stage, patient)
                elif not self._put_off(stage, status, patient and not self._finite):
                    return False
            time.sleep(_LOOK_S)
        return not any(stage.down for stage in self._running.values())

    def stop(self) -> None:
        """Ends all stages: SIGTERM, and SIGKILL for what is still there after 9 s, which is asked first to say where it stands."""
        for stage in self._running.values():
            stage.process.terminate()
        deadline = time.monotonic() + _STOP_S
        for stage in self._running.values():
            try:
                stage.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                logger.error("stage %s didn't end within %.0f s of SIGTERM; killed", stage.name, _STOP_S)
                stage.process.send_signal(signal.SIGQUIT)
                time.sleep(_SAY_S)
                stage.process.kill()
                stage.process.wait()
            stage.notes.close()
        self._turn.close()

    def all_up(self) -> bool:
        """Whether every stage has come up and runs."""
        return all(stage.due is None and not stage.down and stage.notes.came_up for stage in self._running.values())

    def pids(self) -> dict[str, int]:
        """The process id of each stage."""
        return {name: stage.process.pid for name, stage in self._running.items()}

    def _ended(self, stage: _Running) -> int | None:
        """The status with which a stage's process has just ended; None while it runs, waits or is given up. What is due is started."""
        now = time.monotonic()
        if stage.down:
            if now >= stage.reminded + _REMIND_EVERY_S:
                stage.reminded = now
                logger.error("stage %s is still down: %s", stage.name, stage.down)
            return None
        if stage.due is None:
            return stage.process.poll()
        if now >= stage.due:
            stage.notes.close()
            stage.process, stage.notes, stage.started = self._started(stage.name)
            stage.due = None
        return None

    def _give_up(self, stage: _Running, patient: bool) -> None:
        stage.down = stage.notes.last_words or "its messages above say why"
        stage.reminded = time.monotonic()
        if not patient or stage.name in ESSENTIAL or all(each.down for each in self._running.values()):
            raise UserError(f"stage {stage.name} can't run: {stage.down}")
        logger.error("stage %s can't run, the others go on without it: %s", stage.name, stage.down)

    def _put_off(self, stage: _Running, status: int, patient: bool) -> bool:
        """Has a stage started again after a while; False if that has been done often enough."""
        now = time.monotonic()
        wait = stage.backoff.wait_after(now - stage.started, stage.notes.came_up)
        stage.due = now + wait
        when = f"in {wait:.0f} s" if wait else "at once"
        words = stage.notes.last_words
        if status == UNAVAILABLE:
            logger.warning("stage %s: %s; it is tried again %s", stage.name, words, when)
        elif not patient and stage.backoff.failures > _MOST_FAILURES:
            logger.error("stage %s ended with status %s again; giving up, see its messages above", stage.name, status)
            return False
        else:
            logger.warning("stage %s ended with status %s; it is started again %s", stage.name, status, when)
        return True

    def _started(self, stage: str) -> tuple["subprocess.Popen[bytes]", Notes, float]:
        notes = Notes()
        command = [sys.executable, "-m", self._program, str(os.getpid()), stage, *self._arguments]
        descriptors, environment = (notes.descriptor, self._turn.descriptor), {**notes.environment(), **self._turn.environment()}
        process = handover.start(command, self._config, pass_fds=descriptors, env=environment)
        return process, notes, time.monotonic()
