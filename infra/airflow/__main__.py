"""``python -m infra.airflow standalone``: Airflow's own command, in its own environment, with these DAGs; ``make airflow`` runs it."""

import os
import sys

from infra.airflow import environment
from infra.local import services
from infra.local.errors import ServiceError


def _main() -> None:
    home = services.home_from_environment()
    (home / "airflow").mkdir(parents=True, exist_ok=True)
    try:
        python = environment.python()
        settings = environment.variables(home)
    except ServiceError as error:
        sys.exit(f"error: {error}")
    os.execve(python, [str(python), "-m", "airflow", *sys.argv[1:]], dict(settings))


if __name__ == "__main__":
    _main()
