"""Prometheus and Alertmanager of this machine, for a deployment on it: `tidemark up --monitoring`. They aren't installed by us."""

import http.client
import shutil
from pathlib import Path

from infra.local import processes
from infra.local.errors import ServiceError
from infra.local.ports import LOOPBACK
from infra.local.processes import Slot
from infra.local.service import Ports, Service

_FILES = Path(__file__).parents[1] / "prometheus"
# By Prometheus's usual name and Debian's.
_ALERTMANAGERS = ("alertmanager", "prometheus-alertmanager")


def _program(title: str, package: str, *names: str) -> str:
    """The program to run. Raises ServiceError, with how to install it, if there is none."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        raise ServiceError(
            f"{title} isn't installed: apt-get install {package} (Debian starts one of its own then; end it with systemctl disable --now "
            f"{package}), or put the program {names[0]} on the PATH"
        )
    return found


def prometheus() -> str:
    """Prometheus's server. Raises ServiceError if there is none."""
    return _program("Prometheus", "prometheus", "prometheus")


def alertmanager() -> str:
    """Alertmanager. Raises ServiceError if there is none."""
    return _program("Alertmanager", "prometheus-alertmanager", *_ALERTMANAGERS)


def _start_prometheus(home: Path, ports: Ports) -> None:
    folder = home / "prometheus"
    (folder / "alertmanagers").mkdir(parents=True, exist_ok=True)
    shutil.copy(_FILES / "prometheus.yml", folder)
    shutil.copytree(_FILES / "rules", folder / "rules", dirs_exist_ok=True)
    # What is scraped is the deployment's own to change.
    if not (folder / "targets").exists():
        shutil.copytree(_FILES / "targets", folder / "targets")
    processes.start(
        Slot(home, "prometheus"),
        [
            prometheus(),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={LOOPBACK}:{ports['prometheus']}",
        ],
    )


def _start_alertmanager(home: Path, ports: Ports) -> None:
    folder = home / "alertmanager"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "alertmanager.yml").exists():
        shutil.copy(_FILES / "alertmanager.yml", folder)
    processes.start(
        Slot(home, "alertmanager"),
        [
            alertmanager(),
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address={LOOPBACK}:{ports['alertmanager']}",
            # It is one alone.
            "--cluster.listen-address=",
        ],
    )


def connect(home: Path, address: str) -> None:
    """Tells Prometheus at which host:port Alertmanager is; one that runs notices it by itself."""
    file = home / "prometheus" / "alertmanagers" / "here.yml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"- targets: [{address}]\n")


def _is_ready(port: int, timeout: float) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout)
    try:
        connection.request("GET", "/-/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


PROMETHEUS = Service(
    name="prometheus",
    title="Prometheus",
    usual_ports={"prometheus": 9090},
    ready=prometheus,
    start=_start_prometheus,
    answers=lambda _home, ports, timeout: _is_ready(ports["prometheus"], timeout),
    url=lambda ports: f"http://{LOOPBACK}:{ports['prometheus']}",
    reachable=lambda _address, _timeout: False,
    stop_patience=10.0,
)
ALERTMANAGER = Service(
    name="alertmanager",
    title="Alertmanager",
    usual_ports={"alertmanager": 9093},
    ready=alertmanager,
    start=_start_alertmanager,
    answers=lambda _home, ports, timeout: _is_ready(ports["alertmanager"], timeout),
    url=lambda ports: f"http://{LOOPBACK}:{ports['alertmanager']}",
    reachable=lambda _address, _timeout: False,
    stop_patience=5.0,
)
