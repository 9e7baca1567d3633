"""Real services in a folder of their own; whatever a test starts is ended after it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from service_home import Home

from infra.local import services


@pytest.fixture(autouse=True)
def _no_outside_services(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in services.OUTSIDE_VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """All three services. Tests may kill them, but leave them up."""
    home = Home(tmp_path_factory.mktemp("whole") / "home")
    try:
        done = home.tidemark("up", "--partitions", "2")
        assert done.returncode == 0, done.stderr
        yield home
    finally:
        home.end()


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home that embeds nothing but Redis, so that it is up within a tenth of a second: what is true of one service is true of all."""
    outside = {"TIDEMARK_KAFKA": "elsewhere:9092", "TIDEMARK_MLFLOW": "sqlite:///elsewhere.db"}
    for variable, address in outside.items():
        monkeypatch.setenv(variable, address)
    monkeypatch.setattr(services, "check_outside", lambda _service: None)
    home = Home(tmp_path / "home", outside)
    try:
        yield home
    finally:
        home.end()
