"""`tidemark up --monitoring`: Prometheus and Alertmanager come up with our rules, or are told how to be installed."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local import services
from tests.infra.local.service_home import Home
from tests.run import prometheus


def eventually(true: Callable[[], Any], within: float = 60.0) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.2)


def test_where_neither_is_installed_it_is_said_how_and_the_rest_is_up(whole: Home) -> None:
    done = whole.tidemark("up", "--monitoring", PATH="")
    assert done.returncode == 0, done.stderr
    notes = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
    assert [note.partition(" isn't installed: apt-get install ")[0] for note in notes] == ["note: Alertmanager", "note: Prometheus"]
    assert [service.name for service in services.MONITORING if services.is_running(service, whole.path)] == []


@pytest.fixture(params=prometheus.folders() or [None], ids=str)
def watched(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of which both watch."""
    folder = prometheus.program(request.param, "prometheus").parent
    # Where a version has no Alertmanager, that of another is as good.
    monkeypatch.setenv("PATH", ":".join([str(folder), *map(str, prometheus.folders()), os.environ["PATH"]]))
    home = tmp_path / "home"
    try:
        assert services.watch(home, lambda _line: None) == [], "this needs Alertmanager too: apt-get install prometheus-alertmanager"
        yield home
    finally:
        services.down(home)


@pytest.mark.monitoring
def test_both_watch_and_what_prometheus_finds_gets_to_alertmanager(watched: Path) -> None:
    known = services.remembered_ports(watched)
    prometheus_url, alertmanager_url = (f"http://127.0.0.1:{known[name][name]}" for name in ("prometheus", "alertmanager"))
    rules = httpx.get(f"{prometheus_url}/api/v1/rules").json()["data"]["groups"]
    assert {Path(group["file"]).name for group in rules} == {"slo-api.yml", "slo-stream.yml", "tidemark.yml"}

    def told() -> set[str]:
        return {alert["labels"]["alertname"] for alert in httpx.get(f"{alertmanager_url}/api/v2/alerts").json()}

    eventually(lambda: "TidemarkDeadMansSwitch" in told())
    # What is changed by hand stays, and what runs is left alone.
    own = watched / "prometheus" / "targets" / "one-machine.yml"
    own.write_text("- targets: [127.0.0.1:1]\n")
    assert services.watch(watched, lambda _line: None) == []
    assert own.read_text() == "- targets: [127.0.0.1:1]\n"
    assert services.remembered_ports(watched) == known
    assert services.down(watched) == ["Prometheus", "Alertmanager"]
    assert [service.name for service in services.MONITORING if services.is_running(service, watched)] == []
