"""MLflow's own tracking server on SQLite; clients read and write the artifacts' files themselves."""

import http.client
import os
import sys
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path

from infra.local import processes
from infra.local.errors import ServiceError
from infra.local.ports import LOOPBACK
from infra.local.processes import Slot
from infra.local.service import Ports, Service

NAME = "mlflow"

# The server's app is started as `mlflow server` starts it, with the settings that it hands to its workers, but without that command: it
# imports all of MLflow (7 s) only to start a second process that imports it again.
APP = "mlflow.server.fastapi_app:app"
STORE_TIMEOUT = 30.0  # s; one question that is waited for, since two at once would both create the tables


def database(home: Path) -> str:
    """The store's SQLAlchemy address; it also serves without a server."""
    return f"sqlite:///{home / 'mlflow.db'}"


def artifact_root(home: Path) -> str:
    """Where all artifacts lie: the URL or folder that TIDEMARK_ARTIFACTS names, else a folder of the home."""
    return os.environ.get("TIDEMARK_ARTIFACTS") or str(home / "mlartifacts")


def installed() -> None:
    """Raises ServiceError if MLflow is not there."""
    if find_spec("mlflow") is None:
        raise ServiceError("MLflow is not installed; run `make setup`")


def start(home: Path, ports: Ports) -> None:
    """Start it as a background process."""
    if "://" not in artifact_root(home):
        Path(artifact_root(home)).mkdir(parents=True, exist_ok=True)
    settings = {
        "_MLFLOW_SERVER_FILE_STORE": database(home),
        "_MLFLOW_SERVER_REGISTRY_STORE": database(home),
        "_MLFLOW_SERVER_ARTIFACT_ROOT": artifact_root(home),
        "_MLFLOW_SGI_NAME": "uvicorn",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONWARNINGS": "ignore",
    }
    options = ["--host", LOOPBACK, "--port", str(ports[NAME]), "--log-level", "warning", "--no-access-log"]
    processes.start(Slot(home, NAME), [sys.executable, "-m", "uvicorn", *options, APP], settings)


def url(ports: Ports) -> str:
    """The tracking address as clients take it."""
    return f"http://{LOOPBACK}:{ports[NAME]}"


def answers(address: str, timeout: float) -> bool:
    """Whether the tracking server at the address answers within `timeout` seconds; an address without one (sqlite:///…) always does."""
    return not address.startswith(("http://", "https://")) or _gives(f"{address.rstrip('/')}/health", timeout)


def _is_up(_home: Path, ports: Ports, timeout: float) -> bool:
    """Whether the embedded server answers within `timeout` seconds and then its store, which the first question creates, too."""
    return answers(url(ports), timeout) and _gives(f"{url(ports)}/api/2.0/mlflow/experiments/search?max_results=1", STORE_TIMEOUT)


def _gives(address: str, timeout: float) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=timeout) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return False


SERVICE = Service(
    name=NAME,
    title="MLflow",
    usual_ports={NAME: 5000},
    ready=installed,
    start=start,
    answers=_is_up,
    url=url,
    reachable=answers,
    stop_patience=10.0,
)
