"""Jars: exactly the locked ones, all or nothing in the cache, whoever else fetches them at the same time."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.local import jars
from infra.local.errors import ServiceError


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache of jars; returns the folder of the jars that are really there."""
    real = jars.KAFKA.ensure()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return real


def fetch_by_copying(monkeypatch: pytest.MonkeyPatch, real: Path) -> list[Path]:
    fetched = []

    def fetch(_wanted: jars.JarSet, scratch: Path) -> Path:
        fetched.append(scratch)
        return Path(shutil.copytree(real, scratch / "jars"))

    monkeypatch.setattr(jars, "_fetch", fetch)
    return fetched


def test_they_are_fetched_once(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    fetched = fetch_by_copying(monkeypatch, cache)
    assert jars.KAFKA.ensure() == jars.KAFKA.ensure() == jars.KAFKA.folder()
    assert len(fetched) == 1
    assert jars.KAFKA.broken(jars.KAFKA.folder()) == []
    assert [entry.name for entry in jars.KAFKA.folder().parent.iterdir()] == [jars.KAFKA.folder().name], "nothing else is left in the cache"


def test_two_that_fetch_at_the_same_time_do_not_disturb_each_other(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    fetched = fetch_by_copying(monkeypatch, cache)
    gate = threading.Barrier(2)
    honest = jars.JarSet._put_in_place

    def put_in_place_together(wanted: jars.JarSet, *folders: Path) -> None:
        gate.wait(timeout=20)
        honest(wanted, *folders)

    monkeypatch.setattr(jars.JarSet, "_put_in_place", put_in_place_together)
    with ThreadPoolExecutor(2) as pool:
        for each in [pool.submit(jars.KAFKA.ensure), pool.submit(jars.KAFKA.ensure)]:
            assert each.result() == jars.KAFKA.folder()
    assert len(fetched) == 2
    assert jars.KAFKA.broken(jars.KAFKA.folder()) == []


def test_a_folder_with_some_missing_is_replaced(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    fetch_by_copying(monkeypatch, cache)
    jars.KAFKA.folder().mkdir(parents=True)
    (jars.KAFKA.folder() / "jose4j-0.9.6.jar").write_bytes(b"")
    assert jars.KAFKA.broken(jars.KAFKA.ensure()) == []


def test_a_jar_other_than_the_locked_one_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    fetch_by_copying(monkeypatch, cache)
    locked = {**jars.KAFKA.locked(), "jose4j-0.9.6.jar": "0" * 64}
    monkeypatch.setattr(jars.JarSet, "locked", lambda _: locked)
    with pytest.raises(ServiceError, match=r"jose4j-0\.9\.6\.jar"):
        jars.KAFKA.ensure()
    assert not jars.KAFKA.folder().exists()


@pytest.mark.usefixtures("cache")
def test_without_a_network_the_error_names_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=1")
    with pytest.raises(ServiceError, match="check the network"):
        jars.KAFKA.ensure()
    assert not jars.KAFKA.folder().exists()
