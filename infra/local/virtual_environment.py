"""Environments of their own for programs that can't share ours: made by uv from a file of hashed requirements, once, and kept."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.errors import ServiceError

_ROOT = Path(__file__).parents[2]
_MADE_OF = "made-of"
# As ``make setup`` has it: the Python that is there, and the authorities that the system trusts.
_UV = {"UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "true", "UV_NO_PROGRESS": "1"}


def ensure(folder: Path, requirements: Path, title: str) -> Path:
    """The interpreter of the environment in ``folder`` that has these packages, for this very Python; made first if it isn't there.

    Whoever comes while another process makes it waits. Raises ServiceError, naming the ``title``, if that fails.
    """
    made_of = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    python = folder / "bin" / "python"
    if _is_made(folder, made_of):
        return python
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder.with_name(f"{folder.name}.lock")):
        if not _is_made(folder, made_of):
            shutil.rmtree(folder, ignore_errors=True)
            _uv(title, "venv", "--python", sys.executable, folder)
            _uv(title, "pip", "sync", "--compile-bytecode", "--require-hashes", "--python", python, requirements)
            (folder / _MADE_OF).write_text(made_of)
    return python


def _is_made(folder: Path, made_of: str) -> bool:
    # Written last, so what was interrupted doesn't count.
    return (folder / _MADE_OF).is_file() and (folder / _MADE_OF).read_text() == made_of


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _uv(title: str, *arguments: str | Path) -> None:
    own = _ROOT / ".uv" / "bin" / "uv"
    uv = shutil.which("uv") or (str(own) if own.is_file() else None)
    if uv is None:
        raise ServiceError(f"uv, which makes the environment of {title}, is missing; run make setup, or install it")
    command = [uv, *map(str, arguments), "--quiet"]
    done = subprocess.run(command, env={**os.environ, **_UV}, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        cause = " ".join(done.stderr.split())[-400:]
        raise ServiceError(f"the environment of {title} could not be made ({cause}); fix that and run the command again")
