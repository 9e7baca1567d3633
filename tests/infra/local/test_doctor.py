"""The doctor names what is missing or broken, and its fix."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from infra.local import doctor, jars, java, redis, services
from infra.local.doctor import Finding
from tests.infra.local.service_home import Home


def finding(home: Path, subject: str) -> Finding:
    return {found.subject: found for found in doctor.examine(home)}[subject]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with nothing on PATH, no Java, and none of the wheels that bring a server."""
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(java, "SYSTEM_FOLDER", tmp_path / "none")
    monkeypatch.setattr(java, "find_spec", lambda _name: None)
    monkeypatch.setattr(redis, "find_spec", lambda _name: None)


def test_a_whole_home_is_in_order_throughout(whole: Home) -> None:
    done = whole.tidemark("doctor")
    broken = [line for line in done.stdout.splitlines() if line.startswith("BROKEN")]
    found = [line.split("  ")[0].removeprefix("BROKEN ") for line in broken if "Java for Spark" not in line]
    assert found == ["workers", "champion"], f"Spark's Java may be missing too, where nothing can be installed:\n{done.stdout}"
    assert done.returncode == 1
    for subject in ("Python", "home", "Java for Kafka", "Java for Spark", "Kafka's jars", "Redis server", "Redis", "MLflow", "Kafka"):
        assert subject in done.stdout


@pytest.mark.usefixtures("bare")
def test_a_missing_redis_server_is_named_with_its_fix(tmp_path: Path) -> None:
    found = finding(tmp_path, "Redis server")
    assert not found.ok
    assert "apt-get install redis-server" in found.fix


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("subject", ["Java for Kafka", "Java for Spark"])
def test_a_missing_java_is_named_with_its_fix(tmp_path: Path, subject: str) -> None:
    found = finding(tmp_path, subject)
    assert not found.ok
    assert "openjdk-17-jre-headless" in found.fix


def test_a_missing_piece_makes_the_command_fail(tmp_path: Path) -> None:
    done = Home(tmp_path / "home").tidemark("doctor")
    assert done.returncode == 1
    assert "BROKEN" in done.stdout
    assert "`tidemark up` starts it" in done.stdout


def test_a_damaged_jar_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = jars.KAFKA.ensure()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    shutil.copytree(whole, jars.KAFKA.folder())
    assert finding(tmp_path, "Kafka's jars").ok
    (jars.KAFKA.folder() / "jose4j-0.9.6.jar").write_bytes(b"half a download")
    found = finding(tmp_path, "Kafka's jars")
    assert not found.ok
    assert "jose4j-0.9.6.jar" in found.detail
    assert "make setup" in found.fix


def test_a_home_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = finding(tmp_path / "file" / "home", "home")
    assert not found.ok
    assert "TIDEMARK_HOME" in found.fix


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000))
    assert not finding(tmp_path, "home").ok


def test_an_unfit_python_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 14, 0))
    assert "3.13" in finding(tmp_path, "Python").fix


def test_a_pid_file_of_a_process_that_is_gone_is_named(tmp_path: Path) -> None:
    slot = redis.SERVICE.slot(tmp_path)
    slot.pid_file.parent.mkdir(parents=True)
    slot.pid_file.write_text(json.dumps({"pid": os.getpid(), "identity": "another boot:1"}))
    found = finding(tmp_path, "Redis")
    assert not found.ok
    assert "a process that is gone" in found.detail


def test_an_outside_service_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TIDEMARK_REDIS", "redis://127.0.0.1:1/0")
    found = {each.subject: each for each in doctor.examine(tmp_path)}
    assert not found["Redis"].ok
    assert "TIDEMARK_REDIS" in found["Redis"].detail
    assert "Redis server" not in found, "none is needed"
    assert services.outside(redis.SERVICE, tmp_path) is not None
