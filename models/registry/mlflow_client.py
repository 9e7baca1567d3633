"""How MLflow is reached: one client per tracking URI, quiet, and at once even where several processes begin on an empty SQLite file."""

import contextlib
import fcntl
import logging
import os
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SQLITE = "sqlite:///"


@cache
def connect(tracking_uri: str) -> "MlflowClient":
    """The client of a server (http…) or a SQLite file, whose folder and tables are made if need be. MLflow takes 3 s to import."""
    quiet()
    from mlflow import MlflowClient

    if not tracking_uri.startswith(_SQLITE):
        return MlflowClient(tracking_uri, tracking_uri)
    # The first client creates the tables, and two at once would get in each other's way.
    with _alone(_sqlite_file(tracking_uri).parent):
        client = MlflowClient(tracking_uri, tracking_uri)
        client.search_registered_models(max_results=1)
        return client


def artifact_location(tracking_uri: str, experiment: str) -> str | None:
    """Where a new experiment keeps its files; None for a server, which knows its own place.

    It is below TIDEMARK_ARTIFACTS, a folder or an s3:// URL, else beside the SQLite file.
    """
    if not tracking_uri.startswith(_SQLITE):
        return None
    chosen = os.environ.get("TIDEMARK_ARTIFACTS", "").rstrip("/")
    if "://" in chosen:
        return f"{chosen}/{experiment}"
    root = Path(chosen).absolute() if chosen else _sqlite_file(tracking_uri).parent / "mlartifacts"
    return (root / experiment).as_uri()


def quiet() -> None:
    """No usage reports, no progress messages; an address where nothing answers fails within seconds instead of minutes.

    Settings of the environment go first.
    """
    for name, value in (
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
        ("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true"),
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3"),
    ):
        os.environ.setdefault(name, value)
    # Its own stores' use of SQLAlchemy, which can't be fixed here.
    warnings.filterwarnings("ignore", message="The ``noload`` loader strategy is deprecated")
    import mlflow  # noqa: F401  # it sets its loggers up when imported, so ours is the last word

    _leave_feast_out()
    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.WARNING)
    # Our environments have no pip, and each model saved would warn of it.
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
    # A database's complaints, of a full disk for example, come as exceptions too.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def _leave_feast_out() -> None:
    """Feast adds a header to what is asked of MLflow by Feast's own servers. To find that there is none, the first question of any process
    would import all of Feast, 3 s of CPU."""
    from mlflow.utils import plugins

    ask = plugins.get_entry_points
    plugins.get_entry_points = lambda group: [found for found in ask(group) if found.name != "feast"]
    try:
        import mlflow.tracking.request_header.registry  # noqa: F401  # it looks for them once, when imported
    finally:
        plugins.get_entry_points = ask


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sqlite_file(tracking_uri: str) -> Path:
    return Path(tracking_uri.removeprefix(_SQLITE)).absolute()
