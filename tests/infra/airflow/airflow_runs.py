"""Airflow for tests: real, in its own environment, in a folder of its own."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.airflow import environment


@dataclass(frozen=True)
class Run:
    """One DAG for one day; ``environment`` is set beside what Airflow has."""

    dag: str
    day: str
    conf: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Airflow:
    """An Airflow that works for the TIDEMARK_HOME ``home``."""

    home: Path
    more: Mapping[str, str] = field(default_factory=dict)

    def migrate(self) -> None:
        """Makes its database."""
        (self.home / "airflow").mkdir(parents=True)
        self._python("-m", "airflow", "db", "migrate")

    def run(self, runs: Sequence[Run]) -> list[dict[str, Any]]:
        """What came of the runs, made one after another."""
        wanted, results = self.home / "airflow" / "runs.json", self.home / "airflow" / "results.json"
        wanted.write_text(json.dumps([vars(one) for one in runs]))
        self._python(str(Path(__file__).with_name("run_dag.py")), str(wanted), str(results))
        found: list[dict[str, Any]] = json.loads(results.read_text())
        return found

    @property
    def _settings(self) -> Mapping[str, str]:
        """Whatever Airflow the machine has besides is left alone."""
        return {
            "AIRFLOW_HOME": str(self.home / "airflow"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow/airflow.db",
            "AIRFLOW__CORE__DAGS_FOLDER": str(environment.DAGS),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        }

    def _python(self, *arguments: str) -> None:
        done = subprocess.run(
            [environment.python(), *arguments],
            env={**environment.variables(self.home), **self._settings, **self.more},
            cwd=self.home,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=280,
            check=False,
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-6_000:]
