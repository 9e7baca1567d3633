"""Examines everything the embedded services need, and names the fix for what is missing or broken."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from infra.local import jars, java, ports, processes, redis, services
from infra.local.errors import ServiceError
from infra.local.service import Service

OLDEST_PYTHON, FIRST_UNKNOWN_PYTHON = (3, 11), (3, 14)
LEAST_SPACE = 2_000_000_000  # bytes
PATIENCE_S = 10.0  # before a service that runs is called broken: a busy machine is not a broken one


@dataclass(frozen=True)
class Finding:
    """One thing examined: in order or broken, what was found, and for what is broken its fix."""

    subject: str
    ok: bool
    detail: str
    fix: str = ""


def examine(home: Path, asking: services.Asking = MappingProxyType({})) -> list[Finding]:
    """Everything, in the order in which it is needed. Services that do not run are broken; those elsewhere are asked where they are."""
    embedded = [service for service in services.SERVICES if services.outside(service, home) is None]
    findings = [_python(), _home(home)]
    if any(service.name == "kafka" for service in embedded):
        findings += [_needed("Java for Kafka", lambda: _java(java.for_broker())), _jars()]
    findings.append(_needed("Java for Spark", lambda: _java(java.for_spark())))
    if any(service.name == "redis" for service in embedded):
        findings.append(_needed("Redis server", lambda: str(redis.executable())))
    findings += [_service(service, home) if service in embedded else _outside(service, home, asking) for service in services.SERVICES]
    return findings


def _python() -> Finding:
    version = sys.version_info[:2]
    fits = OLDEST_PYTHON <= version < FIRST_UNKNOWN_PYTHON
    fix = "" if fits else "install Python 3.11, 3.12 or 3.13, remove .venv and run `make setup`"
    return Finding("Python", fits, f"{sys.version.split()[0]} ({sys.executable})", fix)


def _home(home: Path) -> Finding:
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return Finding(
            "home",
            False,
            f"{home} cannot be written to",
            f"make {existing} a folder that you may write to, or set TIDEMARK_HOME to another one",
        )
    free = shutil.disk_usage(existing).free
    if free < LEAST_SPACE:
        return Finding(
            "home",
            False,
            f"{home} has {free / 1e9:.1f} GB left on its disk",
            f"free {LEAST_SPACE / 1e9:.0f} GB there, or set TIDEMARK_HOME to another disk",
        )
    return Finding("home", True, f"{home}, {free / 1e9:.0f} GB free")


def _jars() -> Finding:
    folder = jars.KAFKA.folder()
    wrong = jars.KAFKA.broken(folder)
    if not wrong:
        return Finding("Kafka's jars", True, str(folder))
    what = "none" if len(wrong) == len(jars.KAFKA.locked()) else f"missing or damaged: {', '.join(wrong)}"
    return Finding("Kafka's jars", False, f"{what} in {folder}", f"remove {folder} and run `make setup`, which fetches them")


def _needed(subject: str, find: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, True, find())
    except ServiceError as error:
        problem, _, fix = str(error).partition("; ")
        return Finding(subject, False, problem, fix)


def _java(found: java.Java) -> str:
    return f"{found.major} ({found.executable})"


def _outside(service: Service, home: Path, asking: services.Asking) -> Finding:
    def reach() -> str:
        services.check_outside(service, home, asking)
        return f"answers elsewhere, at {services.outside(service, home)}"

    return _needed(service.title, reach)


def _service(service: Service, home: Path) -> Finding:
    slot = service.slot(home)
    known = services.remembered_ports(home).get(service.name, {})
    pid = processes.running_pid(slot)
    if pid is not None and services.answers(service, home, PATIENCE_S):
        return Finding(service.title, True, f"answers at {service.url(known)} (pid {pid})")
    if pid is not None:
        return Finding(
            service.title, False, f"runs (pid {pid}) but does not answer", f"see {slot.log_file}, then `tidemark down` and `tidemark up`"
        )
    if processes.is_stale(slot):
        return Finding(
            service.title,
            False,
            f"ended without `tidemark down`: {slot.pid_file} names a process that is gone",
            "`tidemark up` starts it again, with its data",
        )
    taken = [str(port) for port in (known or service.usual_ports).values() if not ports.is_free(port)]
    noun, verb = ("ports", "are") if len(taken) > 1 else ("port", "is")
    aside = f"; {noun} {' and '.join(taken)} {verb} taken by somebody else, others will be chosen" if taken else ""
    return Finding(service.title, False, f"does not run{aside}", "`tidemark up` starts it")
