"""``tidemark demo``: it shows itself, counts right, and leaves nothing behind, however it ends."""

import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from infra.local import services
from tests.run.deployment import ROOT, eventually

COMMAND = [sys.executable, "-c", "from api.cli import main; main()"]
TRANSACTIONS = 3_000


@dataclass
class Home:
    """A TIDEMARK_HOME, and the command on it."""

    path: Path

    @property
    def environment(self) -> dict[str, str]:
        without = {*services.OUTSIDE_VARIABLES.values()}
        kept = {name: value for name, value in os.environ.items() if name not in without}
        return {**kept, "TIDEMARK_HOME": str(self.path), "PYTHONPATH": str(ROOT), "TERM": "xterm"}

    def tidemark(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment | environment,
            cwd=self.path.parent,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=400,
            check=False,
        )

    def demo(self, *arguments: str, **environment: str) -> dict[str, object]:
        """Runs an unattended demo that must succeed; what it wrote."""
        written = self.path.parent / "demo.json"
        written.unlink(missing_ok=True)
        done = self.tidemark("demo", "--exit", "--transactions", str(TRANSACTIONS), "--json", str(written), *arguments, **environment)
        assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
        assert done.stderr == ""
        assert "Traceback" not in done.stdout
        return dict(json.loads(written.read_text()))

    def processes(self) -> list[str]:
        """The command lines of all processes that belong to it: by their arguments, folder or environment."""
        found = []
        for process in psutil.process_iter():
            try:
                with process.oneshot():
                    if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                        continue
                    traces = [*process.cmdline(), process.cwd(), *process.environ().values()]
            except psutil.Error:
                continue
            if any(str(self.path) in trace for trace in traces):
                found.append(" ".join(process.cmdline()))
        return found

    @contextmanager
    def on_a_terminal(self, *arguments: str) -> Iterator["Terminal"]:
        """Runs a demo on a pseudo terminal of 80 × 24."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.path.parent)
            os.execvpe(COMMAND[0], [*COMMAND, "demo", *arguments], self.environment | {"COLUMNS": "80", "LINES": "24"})
        shown = Terminal(pid, terminal)
        try:
            yield shown
        finally:
            shown.end()


@dataclass
class Terminal:
    """What a demo has drawn so far."""

    pid: int
    terminal: int
    drawn: str = ""
    status: int | None = None

    def shows(self, text: str, timeout: float = 300) -> None:
        """Waits until it has been drawn."""
        deadline = time.monotonic() + timeout
        while text not in self.drawn:
            assert time.monotonic() < deadline, f"{text!r} was not drawn; {self.drawn[-3_000:]}"
            assert self._read(), f"it ended without drawing {text!r}; {self.drawn[-3_000:]}"

    def press_ctrl_c(self) -> None:
        os.write(self.terminal, b"\x03")

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        while self._read():
            pass
        _, status = os.waitpid(self.pid, 0)
        self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def end(self) -> None:
        if self.status is None:
            os.kill(self.pid, signal.SIGTERM)
            self.wait()
        os.close(self.terminal)

    def _read(self) -> bool:
        """Takes in what was drawn meanwhile; whether there may be more."""
        if not select.select([self.terminal], [], [], 1)[0]:
            return True
        try:
            part = os.read(self.terminal, 1 << 16)
        except OSError:  # the other end was closed
            return False
        self.drawn += part.decode(errors="replace")
        return bool(part)


@dataclass
class Unattended:
    """A run without a terminal: what it wrote, what it left in the folder of its home, and which processes outlived it."""

    written: dict[str, object]
    left: set[str]
    processes: list[str]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, list[Unattended]]]:
    """A home, and two runs in it: the first found nothing, not even the folder, the second the first one's model."""
    home = Home(tmp_path_factory.mktemp("demo") / "home")
    try:
        runs = []
        for arguments in ((), ("--rate", "800")):
            written = home.demo(*arguments)
            runs.append(Unattended(written, {path.name for path in home.path.parent.iterdir()}, home.processes()))
        yield home, runs
    finally:
        services.down(home.path)


@pytest.fixture
def home(fresh: tuple[Home, list[Unattended]]) -> Home:
    """A home with a model, in which nothing but services may run."""
    return fresh[0]


def test_unattended_on_a_fresh_home_then_at_once_again(fresh: tuple[Home, list[Unattended]]) -> None:
    """Every transaction sent comes out as a decision or a dead letter; the second run has a run's own counts, and the first one's model."""
    for run in fresh[1]:
        done = run.written
        assert run.processes == []
        assert run.left == {"home", "demo.json"}
        assert done["transactions"] == TRANSACTIONS
        assert done["decisions"] + done["dead_letters"] == TRANSACTIONS  # type: ignore[operator]
        assert done["dead_letters"] > 0  # type: ignore[operator]
        assert done["api_calls"] > 0  # type: ignore[operator]
        assert done["repeated_decisions"] == 0
        assert done["latency_ms"]["p50"] > 0  # type: ignore[index]
    first, second = (run.written for run in fresh[1])
    assert first["model_digest"] == second["model_digest"]
    assert first["run"] != second["run"]


def test_on_a_terminal_until_ctrl_c_and_services_that_were_up_stay_up(home: Home) -> None:
    assert home.tidemark("up").returncode == 0
    before = home.tidemark("status").stdout.splitlines()[:4]
    with home.on_a_terminal("--transactions", str(TRANSACTIONS)) as terminal:
        terminal.shows("curl -s http://127.0.0.1:")
        terminal.shows("all sent")
        for part in ("stream", "decisions", "flagged", "p50", "API docs http://127.0.0.1:", "dead letters: "):
            assert part in terminal.drawn
        terminal.press_ctrl_c()
        assert terminal.wait() == 0
    assert "Traceback" not in terminal.drawn
    assert "the services stay up" in terminal.drawn
    assert not any("api.demo" in process or "streams.workers.stage_process" in process for process in home.processes())
    assert home.tidemark("status").stdout.splitlines()[:4] == before


@pytest.mark.slow
def test_killed_hard_it_takes_its_workers_and_the_api_with_it(home: Home, tmp_path: Path) -> None:
    assert home.tidemark("up").returncode == 0
    log = tmp_path / "killed.log"
    with log.open("wb") as output:
        demo = subprocess.Popen(
            [*COMMAND, "demo", "--exit"], env=home.environment, cwd=home.path.parent, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    eventually(lambda: "live " in log.read_text() or demo.poll() is not None, timeout=300, what="live transactions")
    assert demo.poll() is None, log.read_text()
    demo.kill()
    demo.wait()
    ours = ("api.demo", "streams.workers.stage_process")
    eventually(lambda: not any(name in process for process in home.processes() for name in ours), timeout=60, what="the children's end")


@pytest.mark.parametrize("delay", [2.0, 10.0])
def test_ended_by_sigterm_while_it_starts(home: Home, delay: float) -> None:
    services.down(home.path)
    demo = subprocess.Popen(
        [*COMMAND, "demo", "--exit"],
        env=home.environment,
        cwd=home.path.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    time.sleep(delay)
    demo.terminate()
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode in (128 + signal.SIGTERM, -signal.SIGTERM), output
    assert "Traceback" not in output
    assert home.processes() == []


def test_a_step_that_fails_is_one_sentence(home: Home) -> None:
    services.down(home.path)
    done = home.tidemark("demo", "--exit", TIDEMARK_REDIS="redis://127.0.0.1:1/0")
    assert done.returncode == 2
    assert done.stderr.startswith("error: Redis at TIDEMARK_REDIS=redis://127.0.0.1:1/0 does not answer")
    assert len(done.stderr.strip().splitlines()) == 1
    assert home.processes() == []


def test_only_one_at_a_time_in_a_home(home: Home) -> None:
    with (home.path / "demo.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = home.tidemark("demo", "--exit")
    assert done.returncode == 2
    assert "a demo runs already" in done.stderr
