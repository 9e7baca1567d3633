"""What a peer runs in: its own packages and jars, made once and kept, or ours."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from api.bench.peers import ROOT, Peer
from features.errors import UserError
from infra.local import java

_ENVIRONMENTS = ROOT / ".peers"
_MADE_OF = "made-of"
# As ``make setup`` has it: the Python that is there, and the authorities that the system trusts.
_UV = {"UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "true", "UV_NO_PROGRESS": "1"}


def prepare(peer: Peer) -> None:
    """Makes and fetches all that the peer needs: minutes, the first time. Raises UserError or ServiceError if it can't be had."""
    python(peer)
    variables(peer)


def python(peer: Peer) -> Path:
    """The interpreter that has the peer's packages; its environment is made first if there is none of these packages.

    Raises UserError if that fails.
    """
    if not peer.requirements.is_file():
        return Path(sys.executable)
    folder = _ENVIRONMENTS / peer.name
    made_of = hashlib.sha256(peer.requirements.read_bytes() + sys.version.encode()).hexdigest()
    if not (folder / _MADE_OF).is_file() or (folder / _MADE_OF).read_text() != made_of:
        _make(peer, folder)
        (folder / _MADE_OF).write_text(made_of)
    return folder / "bin" / "python"


def variables(peer: Peer) -> Mapping[str, str]:
    """What the peer finds in its environment beside its topics. Raises ServiceError if its jars or a Java can't be had."""
    found = {"PYTHONPATH": "", "PYTHONUNBUFFERED": "1"}
    if peer.java:
        found["JAVA_HOME"] = str(java.for_spark().executable.resolve().parents[1])
    if jars := peer.jar_set:
        found["JARS"] = ";".join(path.as_uri() for path in jars.paths())
    return found


def _make(peer: Peer, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(exist_ok=True)
    _uv(peer, "venv", "--python", sys.executable, folder)
    _uv(peer, "pip", "sync", "--require-hashes", "--python", folder / "bin" / "python", peer.requirements)


def _uv(peer: Peer, *arguments: str | Path) -> None:
    own = ROOT / ".uv" / "bin" / "uv"
    uv = shutil.which("uv") or (str(own) if own.is_file() else None)
    if uv is None:
        raise UserError(f"uv, which makes the environment of peer {peer.name}, is missing; run make setup, or install it")
    command: Sequence[str] = [uv, *map(str, arguments), "--quiet"]
    done = subprocess.run(command, env={**os.environ, **_UV}, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        cause = " ".join(done.stderr.split())[-400:]
        raise UserError(f"the environment of peer {peer.name} could not be made ({cause}); mend that or leave it out of --peers")
