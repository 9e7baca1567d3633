"""A TIDEMARK_HOME and the command `tidemark` on it, for tests that start real services."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from infra.local import processes, services

ROOT = Path(__file__).parents[3]


@dataclass
class Home:
    """A TIDEMARK_HOME and the command `tidemark` on it, run as a shell would: each time a new process."""

    path: Path
    environment: dict[str, str] = field(default_factory=dict)

    def tidemark(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from api.cli import main; main()", *arguments],
            env={**_clean(), **self.environment, "TIDEMARK_HOME": str(self.path), **environment},
            cwd=self.path.parent,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=240,
            check=False,
        )

    def pids(self) -> dict[str, int | None]:
        """The pid of each service, as its pid file tells."""
        return {service.name: processes.running_pid(service.slot(self.path)) for service in services.SERVICES}

    def family(self) -> list[psutil.Process]:
        """All processes that the home's services are made of, whatever the pid files tell."""
        return [process for service in services.SERVICES for process in processes._family(service.slot(self.path))]

    def end(self) -> None:
        services.down(self.path)


def _clean() -> dict[str, str]:
    without = (*services.OUTSIDE_VARIABLES.values(), "TIDEMARK_HOME")
    return {**{name: value for name, value in os.environ.items() if name not in without}, "PYTHONPATH": str(ROOT)}
