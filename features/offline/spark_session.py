"""Spark's session, as all of Tidemark's jobs want it: in this process, on as many cores as there are, quiet."""

import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import UserError
from features.offline.storage import Storage

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_LOGGING = Path(__file__).with_name("spark-log4j2.properties")
_STDERR = 2


# Of any session here, Feast's too: reached by nobody else, quiet, its times in UTC.
LOCAL_SETTINGS: Mapping[str, str] = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={_LOGGING.as_uri()}",
    "spark.sql.session.timeZone": "UTC",
}


def require_heap(memory: str) -> None:
    """Raises UserError if that is no size of a JVM's heap."""
    if not re.fullmatch(r"[1-9]\d*[kmgt]b?", memory, re.IGNORECASE):
        raise UserError(f"--memory {memory} is no size of a heap; use for example 2g or 512m")


def start(
    name: str,
    java: Path,
    jars: Sequence[Path],
    store: Storage,
    memory: str = "2g",
    cores: int | None = None,
    settings: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> "SparkSession":
    """A session on the JVM whose executable is ``java``, with these jars, for an offline store; the caller stops it.

    ``memory`` is the JVM's heap; Python's workers come on top. ``cores`` None: all. What the JVM and the workers print, which is only what
    went wrong, is added to the file ``log``; None: it goes to this process's stderr. Raises UserError if it can't start.
    """
    require_heap(memory)
    from pyspark.errors import PySparkRuntimeError
    from pyspark.sql import SparkSession

    # It logs whatever an interrupted call raises besides, in two ways.
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    logging.getLogger().addFilter(_is_not_of_py4j)
    # Python's workers must be of this very environment, wherever PATH points.
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ["JAVA_HOME"] = str(java.resolve().parent.parent)
    cores = cores or os.cpu_count() or 1
    chosen = {
        "spark.master": f"local[{cores}]",
        "spark.driver.memory": memory,
        **LOCAL_SETTINGS,
        "spark.sql.shuffle.partitions": str(4 * cores),
        "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
        "spark.driver.extraClassPath": os.pathsep.join(map(str, jars)),
        **store.spark_settings(),
        **(settings or {}),
    }
    builder = SparkSession.builder.appName(name)
    for key, value in chosen.items():
        builder = builder.config(key, value)
    try:
        with _stderr_to(log), _utf8():
            return builder.getOrCreate()
    except PySparkRuntimeError as error:
        where = "" if log is None else f", see {log}"
        raise UserError(f"Spark's Java did not start{where}; a heap of --memory {memory} may be more than the machine has") from error


def _is_not_of_py4j(record: logging.LogRecord) -> bool:
    return Path(record.pathname).parent.name != "py4j"


@contextmanager
def _utf8() -> Iterator[None]:
    """A JVM that is started in the block knows paths with any letters: it encodes them as the locale says, once for all."""
    before = os.environ.get("LC_ALL")
    os.environ["LC_ALL"] = "C.UTF-8"
    try:
        yield
    finally:
        if before is None:
            del os.environ["LC_ALL"]
        else:
            os.environ["LC_ALL"] = before


@contextmanager
def _stderr_to(file: Path | None) -> Iterator[None]:
    """Child processes that are started in the block have the file as their stderr."""
    if file is None:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    own = os.dup(_STDERR)
    try:
        with file.open("ab") as log:
            os.dup2(log.fileno(), _STDERR)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(own, _STDERR)
        os.close(own)
