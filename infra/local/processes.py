"""Background processes that survive the shell that started them, and are never mistaken for another one."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from infra.local.errors import ServiceError

MARKER = "TIDEMARK_SERVICE"
KILL_PATIENCE = 10.0  # s until a process that survives SIGKILL is given up
LOG_LIMIT = 16_000_000  # bytes; a longer log is set aside (as .1) at the next start

# Kept so that what dies while its starter still lives is reaped, instead of staying a zombie.
_children: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Slot:
    """Where one service's process leaves its traces: `run/<name>.pid` and `logs/<name>.log` under `home`."""

    home: Path
    name: str

    @property
    def pid_file(self) -> Path:
        """Returns pid and identity of the process last started."""
        return self.home / "run" / f"{self.name}.pid"

    @property
    def log_file(self) -> Path:
        """What the process prints or logs."""
        return self.home / "logs" / f"{self.name}.log"

    @property
    def marker(self) -> str:
        """The value of MARKER in the environment of the process and of all its children."""
        return f"{self.home.resolve()}:{self.name}"


def start(slot: Slot, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> int:
    """Start `command` in a session of its own, its output appended to the slot's log; returns its pid."""
    slot.pid_file.parent.mkdir(parents=True, exist_ok=True)
    slot.log_file.parent.mkdir(parents=True, exist_ok=True)
    if slot.log_file.exists() and slot.log_file.stat().st_size > LOG_LIMIT:
        slot.log_file.replace(slot.log_file.with_name(slot.log_file.name + ".1"))
    with slot.log_file.open("ab") as log:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=slot.pid_file.parent,
            env={**os.environ, "TZ": "UTC", **(environment or {}), MARKER: slot.marker},  # so that all logs agree on the time
            start_new_session=True,
        )
    _children.append(process)
    written = slot.pid_file.with_suffix(".new")
    written.write_text(json.dumps({"pid": process.pid, "identity": _identity(process.pid)}))
    written.replace(slot.pid_file)
    return process.pid


def running_pid(slot: Slot) -> int | None:
    """The pid of the slot's process; None if it does not run (any more), or if another process has got its pid since."""
    for child in _children:
        child.poll()
    recorded = _recorded(slot)
    if recorded is None:
        return None
    pid, identity = recorded
    return pid if _identity(pid) == identity else None


def is_stale(slot: Slot) -> bool:
    """Whether the pid file speaks of a process that is gone."""
    return slot.pid_file.exists() and running_pid(slot) is None


def stop(slot: Slot, patience: float) -> bool:
    """End the slot's process and whatever it started: SIGTERM, after `patience` seconds SIGKILL. Whether there was any to end."""
    left = _family(slot)
    found = bool(left)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + patience
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [process for process in left if _alive(process)]
    deadline = time.monotonic() + KILL_PATIENCE
    while left := _family(slot):
        if time.monotonic() > deadline:
            raise ServiceError(
                f"{slot.name} (pid {left[0].pid}) cannot be ended, not even by SIGKILL; end it by hand, as whoever started it"
            )
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process.kill()
        time.sleep(0.05)
    slot.pid_file.unlink(missing_ok=True)
    return found


def log_tail(slot: Slot, lines: int) -> str:
    """The last lines of the slot's log; empty if there is none."""
    if not slot.log_file.exists():
        return ""
    with slot.log_file.open("rb") as log:
        log.seek(max(0, slot.log_file.stat().st_size - 400 * lines))
        return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])


def _recorded(slot: Slot) -> tuple[int, str] | None:
    try:
        written = json.loads(slot.pid_file.read_text())
        return int(written["pid"]), str(written["identity"])
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError, KeyError, TypeError):
        return None


def _identity(pid: int) -> str | None:
    """What no other process with this pid ever has: the machine's boot and when it began in clock ticks. None if it is gone."""
    try:
        # The command's name, in parentheses, may hold spaces: count the fields from its end. The first is the state, the 20th the start.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"


def _family(slot: Slot) -> list[psutil.Process]:
    """The slot's process, and those that carry its marker: its children, and what an interrupted start left without a pid file."""
    own = running_pid(slot)
    return [process for process in psutil.process_iter() if _alive(process) and (process.pid == own or _marked(process, slot.marker))]


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _marked(process: psutil.Process, marker: str) -> bool:
    try:
        return bool(process.environ().get(MARKER) == marker)
    except (psutil.AccessDenied, psutil.NoSuchProcess, OSError):
        return False  # another user's, or gone: not ours
