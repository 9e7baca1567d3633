"""What `up` promises under adverse conditions, shown on a home that embeds Redis alone."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import psutil
import pytest

from infra.local import ports, processes, redis, services
from infra.local.errors import ServiceError
from tests.infra.local.service_home import Home

REDIS = redis.SERVICE


@contextmanager
def occupied(port: int) -> Iterator[None]:
    """Somebody listens on the port, whoever it is."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((ports.LOOPBACK, port))
            listener.listen()
        except OSError:
            pass  # another program of this machine has it already: as good
        yield


def port_of(home: Home) -> int:
    return services.remembered_ports(home.path)["redis"]["redis"]


def pid_of(home: Home) -> int:
    pid = home.pids()["redis"]
    assert pid is not None
    return pid


def killed(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.01)


def test_the_usual_port_is_left_to_whoever_has_it(small: Home) -> None:
    with occupied(6379):
        found = services.up(small.path)
    assert urlsplit(found.redis).port not in (None, 6379)
    assert services.answers(REDIS, small.path)


def test_a_port_that_somebody_takes_in_the_last_moment_is_given_up(small: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind((ports.LOOPBACK, 0))
        listener.listen()
        lost = listener.getsockname()[1]
        choices = iter([lost])
        honest = ports.choose
        monkeypatch.setattr(ports, "choose", lambda preferred, taken: next(choices, None) or honest(preferred, taken))
        services.up(small.path)
        assert port_of(small) != lost
    assert services.answers(REDIS, small.path)


def test_the_port_stays_the_same_from_one_start_to_the_next(small: Home) -> None:
    with occupied(6379):
        services.up(small.path)
    port = port_of(small)
    services.down(small.path)
    services.up(small.path)
    assert port_of(small) == port


def test_ups_at_the_same_time_start_one_service(small: Home) -> None:
    gate = threading.Barrier(4)

    def up() -> str:
        gate.wait()
        return services.up(small.path).redis

    with ThreadPoolExecutor(4) as pool:
        found = {future.result() for future in [pool.submit(up) for _ in range(4)]}
    assert len(found) == 1
    assert len(small.family()) == 1


def test_a_recycled_pid_is_not_taken_for_the_service(small: Home) -> None:
    services.up(small.path)
    killed(pid_of(small))
    # Processes are distinguished by when they began, in ticks of 10 ms; a pid isn't taken again within one.
    time.sleep(0.05)
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        pid_file = REDIS.slot(small.path).pid_file
        written = json.loads(pid_file.read_text())
        pid_file.write_text(json.dumps({**written, "pid": bystander.pid}))

        assert processes.is_stale(REDIS.slot(small.path))
        with pytest.raises(ServiceError, match="Redis"):
            services.status(small.path)
        services.up(small.path)
        assert pid_of(small) != bystander.pid
        services.down(small.path)
        assert bystander.poll() is None, "nobody else's process is ended"
    finally:
        bystander.communicate(b"\n", timeout=10)


def test_what_an_interrupted_start_left_without_a_pid_file_is_ended(small: Home) -> None:
    services.up(small.path)
    orphan = pid_of(small)
    REDIS.slot(small.path).pid_file.unlink()
    services.up(small.path)
    assert [process.pid for process in small.family()] == [pid_of(small)]
    assert pid_of(small) != orphan
    assert not psutil.pid_exists(orphan)


def test_a_service_that_cannot_start_is_an_error_with_its_last_words(small: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "REDIS_SETTINGS", redis.REDIS_SETTINGS + "nonsense yes\n")
    with pytest.raises(ServiceError, match=r"(?s)Redis ended while starting.*nonsense"):
        services.up(small.path)


def test_a_home_that_the_services_settings_cannot_name_is_refused(small: Home) -> None:
    with pytest.raises(ServiceError, match="choose another folder"):
        services.up(small.path.with_name("a,b"))


def test_a_home_that_cannot_be_made_is_an_error_that_names_it(small: Home) -> None:
    file = small.path.with_name("file")
    file.write_text("")
    with pytest.raises(ServiceError, match=str(file)):
        services.up(file / "home")


def test_logs_shows_the_end_of_a_services_log(small: Home) -> None:
    services.up(small.path)
    done = small.tidemark("logs", "redis", "-n", "5")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 5)
    assert "Ready to accept connections" in done.stdout


def test_logs_of_no_service_is_an_error_that_names_the_services(small: Home) -> None:
    done = small.tidemark("logs", "postgres")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no logs in" in done.stderr or "there are those of" in done.stderr
