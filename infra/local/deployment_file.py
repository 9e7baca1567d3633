"""``deployment.toml`` in the home: what `tidemark up` has settled, once, for every command. Plain values, whose meaning is their readers'.

It may hold passwords (in addresses), so nobody but its owner can read it.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.local.errors import ServiceError

_HEADER = """\
# What `tidemark up` has settled for this deployment; every command reads it. TIDEMARK_... variables count before it.
# [services] are embedded and up, [elsewhere] are yours: one that you remove there is embedded by the next `tidemark up`.
"""
_TEXTS = ("features", "currency", "facts_revision", "offline", "kafka_security")
_ADDRESSES = ("services", "elsewhere")
_PORTS = "ports"
_SERVICES = {"kafka", "redis", "mlflow"}
_MONITORING = {"prometheus", "alertmanager"}
# Where ports and addresses were kept before 0.2.0.
_FORMER = "services.json"


def path(home: Path) -> Path:
    """The file's place in a home."""
    return home / "deployment.toml"


def read(home: Path) -> dict[str, Any]:
    """The content: texts by name (``features``, ``currency``, ``facts_revision``, ``offline``, ``kafka_security``), the tables ``services``
    (embedded ones that are up) and ``elsewhere`` (name → address), and the table ``ports`` (service → port name → port). What was never
    settled is missing; {} where there is no file.

    Raises ServiceError if it can't be read, isn't TOML or holds anything else.
    """
    file = path(home)
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return _former(home)
    except OSError as error:
        raise ServiceError(f"{file} can't be read ({error.strerror}); make it yours to read, or choose another TIDEMARK_HOME") from error
    except (ValueError, RecursionError) as error:  # TOML's, or the encoding's
        raise _unusable(file, f"is not TOML ({error})") from error
    for name, value in content.items():
        if name not in (*_TEXTS, *_ADDRESSES, _PORTS):
            raise _unusable(file, f"has {name!r}, which tidemark doesn't know")
        if not (isinstance(value, str) and value if name in _TEXTS else _is_table(name, value)):
            raise _unusable(file, f"has a {name!r} that can't be used")
    return content


def write(home: Path, **parts: Any) -> None:
    """Sets these parts of the content, None to remove one; whoever reads meanwhile finds the former file or the new one, whole."""
    content = {name: part for name, part in {**read(home), **parts}.items() if part is not None}
    file = path(home)
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(_HEADER + _toml(content))
        out.flush()
        os.fsync(out.fileno())
    new.replace(file)
    (home / _FORMER).unlink(missing_ok=True)


def _is_table(name: str, value: object) -> bool:
    if not isinstance(value, dict):
        return False
    if not value.keys() <= (_SERVICES if name in _ADDRESSES else _SERVICES | _MONITORING):
        return False
    if name in _ADDRESSES:
        return all(isinstance(address, str) and address for address in value.values())
    return all(
        isinstance(ports, dict) and all(type(port) is int and 0 < port < 65_536 for port in ports.values()) for ports in value.values()
    )


def _unusable(file: Path, why: str) -> ServiceError:
    return ServiceError(f"{file} {why}; correct it, or remove it and run `tidemark up` with the deployment's --features and --currency")


def _toml(content: Mapping[str, Any]) -> str:
    lines = [f"{name} = {_text(content[name])}" for name in _TEXTS if name in content]
    for table in _ADDRESSES:
        if addresses := content.get(table):
            lines += ["", f"[{table}]", *(f"{name} = {_text(address)}" for name, address in addresses.items())]
    for service, ports in content.get(_PORTS, {}).items():
        lines += ["", f"[ports.{service}]", *(f"{name} = {port}" for name, port in ports.items())]
    return "\n".join([*lines, ""])


def _text(value: str) -> str:
    # TOML's basic strings are JSON's, but for this one character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _former(home: Path) -> dict[str, Any]:
    file = home / _FORMER
    try:
        written = json.loads(file.read_text())
        kept = {"ports": written["ports"]} if "ports" in written else {}
        if endpoints := written.get("endpoints"):
            kept["services"] = {
                "kafka": endpoints["kafka"]["bootstrap_servers"],
                "redis": endpoints["redis"]["url"],
                "mlflow": endpoints["mlflow"]["tracking_uri"],
            }
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise ServiceError(f"{file} is damaged ({error}); remove it and run `tidemark up`") from error
    return kept
