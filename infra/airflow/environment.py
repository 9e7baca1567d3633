"""What Airflow runs in: packages of its own, for they don't go together with ours, and settings that keep it on this machine."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from infra.local import virtual_environment

DAGS = Path(__file__).parent / "dags"
_REQUIREMENTS = Path(__file__).parent / "requirements.txt"
_FOLDER = Path(__file__).parents[2] / ".airflow"


def python() -> Path:
    """The interpreter that has Airflow; its environment is made first if it isn't there. Raises ServiceError if that fails."""
    return virtual_environment.ensure(_FOLDER, _REQUIREMENTS, "Airflow")


def variables(home: Path) -> Mapping[str, str]:
    """The whole environment of an Airflow whose tasks work for the TIDEMARK_HOME ``home``; database and logs lie in its folder ``airflow``.

    Tasks find this installation's ``tidemark`` first. What is set already under Airflow's own names stays.
    """
    programs = (python().parent, Path(sys.executable).parent)
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    lying = home / "airflow"
    settings = {
        "AIRFLOW_HOME": str(lying),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{lying}/airflow.db",
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "false",
    }
    path = os.pathsep.join([*map(str, programs), os.environ.get("PATH", os.defpath)])
    # Tasks run in folders of their own, so the home must be absolute.
    return {**settings, **kept, "TIDEMARK_HOME": str(home), "PATH": path}
