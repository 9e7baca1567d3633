"""Prometheus's programs, as many versions as there are, and a server of one of them."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from infra.local import ports

CONFIG = Path(__file__).parents[2] / "infra" / "prometheus"
_INSTALL = "apt-get install prometheus, or name folders that have it in PROMETHEUS_BIN, parted by colons"


def folders() -> list[Path]:
    """The folders with Prometheus's programs: those of PROMETHEUS_BIN, else that on the PATH; none if there are none."""
    named = [Path(folder) for folder in os.environ.get("PROMETHEUS_BIN", "").split(":") if folder]
    on_path = shutil.which("promtool")
    return named or ([Path(on_path).parent] if on_path else [])


def program(folder: Path | None, name: str) -> Path:
    """A program of a folder. Fails if it isn't there: who asks for these tests has it."""
    file = None if folder is None else folder / name
    assert file is not None, f"these tests need Prometheus: {_INSTALL}"
    assert file.is_file(), f"these tests need {name}, which isn't in {folder}: {_INSTALL}"
    return file


def run(file: Path, *arguments: object) -> str:
    """What the program prints. Fails unless it ends well."""
    done = subprocess.run([file, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@dataclass(frozen=True)
class Prometheus:
    """A running server."""

    url: str

    def ask(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its API."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=30).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives now."""
        data = self.ask("query", query=expression)
        return data["result"] if data["resultType"] == "vector" else [data]


@contextmanager
def running(folder: Path | None, home: Path, targets: Sequence[Mapping[str, Any]], *, every: str = "1s") -> Iterator[Prometheus]:
    """A server with our very rules, that scrapes these targets (as in targets/), but more often. Ends with the block."""
    server = program(folder, "prometheus")
    home.mkdir()
    for part in ("rules", "targets", "alertmanagers"):
        (home / part).mkdir()
    for file in (CONFIG / "rules").glob("*.yml"):
        shutil.copy(file, home / "rules")
    config = yaml.safe_load((CONFIG / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": every, "evaluation_interval": every}
    (home / "prometheus.yml").write_text(yaml.safe_dump(config))
    (home / "targets" / "here.yml").write_text(yaml.safe_dump(list(targets)))
    address = f"127.0.0.1:{ports.choose([], set())}"
    log = (home / "log").open("wb")
    arguments = [f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/data", f"--web.listen-address={address}"]
    process = subprocess.Popen([server, *arguments], stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, (home / "log").read_text()[-3_000:]
            try:
                if httpx.get(f"http://{address}/-/ready").status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            assert time.monotonic() < deadline, (home / "log").read_text()[-3_000:]
            time.sleep(0.1)
        yield Prometheus(f"http://{address}")
    finally:
        process.terminate()
        process.wait(20)
        log.close()
