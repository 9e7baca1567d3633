"""What a measurement was made on: machine, code, versions, command. Figures without them say nothing."""

import os
import platform
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from api.provenance import commit
from infra.local import jars, java

_LIBRARIES = ("aiokafka", "confluent-kafka", "faust-streaming", "feast", "mlflow", "msgspec", "numba", "numpy", "pyarrow", "xgboost")
_CPU_INFO = Path("/proc/cpuinfo")


def provenance(command: Sequence[str]) -> dict[str, object]:
    """Date (ISO 8601, UTC), command, commit, machine and versions, as JSON-ready values."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(command),
        "commit": commit(),
        "machine": machine(),
        "versions": versions(),
    }


def machine() -> dict[str, object]:
    """CPU model, logical cores, memory in bytes, operating system, and the load average of the last minute: whether it was quiet."""
    return {
        "cpu": _cpu_model(),
        "cores": psutil.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": platform.platform(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """Versions of Python, Java, Kafka and the libraries that the time goes to."""
    return {
        "tidemark": version("tidemark"),
        "python": platform.python_version(),
        "java": str(java.for_broker().major),
        "kafka": jars.KAFKA_VERSION,
        **{name: version(name) for name in _LIBRARIES},
    }


def _cpu_model() -> str:
    if _CPU_INFO.is_file():
        for line in _CPU_INFO.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
