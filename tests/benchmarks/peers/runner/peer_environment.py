"""What a peer runs in: its own packages and jars, made once and kept, or ours."""

import sys
from collections.abc import Mapping
from pathlib import Path

from infra.local import java, virtual_environment
from tests.benchmarks.peers.runner.peers import ROOT, Peer

_ENVIRONMENTS = ROOT / ".peers"


def prepare(peer: Peer) -> None:
    """Makes and fetches all that the peer needs: minutes, the first time. Raises ServiceError if it can't be had."""
    python(peer)
    variables(peer)


def python(peer: Peer) -> Path:
    """The interpreter that has the peer's packages; its environment is made first if there is none of these packages.

    Raises ServiceError if that fails.
    """
    if not peer.requirements.is_file():
        return Path(sys.executable)
    return virtual_environment.ensure(_ENVIRONMENTS / peer.name, peer.requirements, f"peer {peer.name}")


def variables(peer: Peer) -> Mapping[str, str]:
    """What the peer finds in its environment beside its topics. Raises ServiceError if its jars or a Java can't be had."""
    found = {"PYTHONPATH": "", "PYTHONUNBUFFERED": "1"}
    if peer.java:
        found["JAVA_HOME"] = str(java.for_spark().executable.resolve().parents[1])
    if jars := peer.jar_set:
        found["JARS"] = ";".join(path.as_uri() for path in jars.paths())
    return found
