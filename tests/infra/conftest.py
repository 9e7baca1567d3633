"""Real services in a folder of their own; whatever a test starts is ended after it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local import services
from tests.infra.local.service_home import Home


@pytest.fixture(autouse=True)
def _no_outside_services(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in services.OUTSIDE_VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(scope="session")
def _whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("whole") / "home")
    yield home
    home.end()


@pytest.fixture
def whole(_whole: Home) -> Home:
    """All three services, up; brought up only if they are not, for that takes a while."""
    if None in _whole.pids().values():
        done = _whole.tidemark("up", "--partitions", "2")
        assert done.returncode == 0, done.stderr
    return _whole


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home that embeds nothing but Redis, so that it is up within a tenth of a second: what is true of one service is true of all."""
    outside = {"TIDEMARK_KAFKA": "elsewhere:9092", "TIDEMARK_MLFLOW": "sqlite:///elsewhere.db"}
    for variable, address in outside.items():
        monkeypatch.setenv(variable, address)
    monkeypatch.setattr(services, "check_outside", lambda _service, _home, _asking: None)
    home = Home(tmp_path / "home", outside)
    try:
        yield home
    finally:
        home.end()
