"""Peers: other programs on the same topic, for comparison. Each is a folder under ``tests/benchmarks/peers`` of the checkout.

``peer.py`` reads the JSON transactions of SOURCE, passing over labels, and writes one JSON record for each to TARGET until SIGTERM; it
finds BOOTSTRAP, SOURCE, TARGET and GROUP in its environment, and in JARS, if it has any, ``;``-separated URLs of its jars.
``about.toml`` says what it does and what it leaves out. With ``requirements.txt`` it has an environment of its own, else it runs in ours.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from features.errors import UserError
from infra.local.jars import Dependency, JarSet

ROOT = Path(__file__).parents[4]
FOLDER = ROOT / "tests" / "benchmarks" / "peers"
# The limit of any Python program on the client that we use; it stands beside the others.
BARE_LOOP = "bare_loop"
ALL, NONE = "all", "none"


@dataclass(frozen=True)
class Peer:
    """One peer: what it does, what it spares itself (a phrase each), whether it needs Java 17 or 21, and its jars (Maven coordinates)."""

    name: str
    title: str
    does: str
    leaves_out: tuple[str, ...]
    java: bool = False
    jars: tuple[str, ...] = ()

    @property
    def program(self) -> Path:
        """What is run."""
        return FOLDER / self.name / "peer.py"

    @property
    def asked_for(self) -> Path:
        """The packages that it names itself."""
        return FOLDER / self.name / "requirements.in"

    @property
    def requirements(self) -> Path:
        """All its packages, with their hashes; there is no such file if our own environment has them."""
        return FOLDER / self.name / "requirements.txt"

    @property
    def packages(self) -> list[str]:
        """The packages that it names itself, with their versions."""
        return self.asked_for.read_text().split() if self.asked_for.is_file() else []

    @property
    def jar_set(self) -> JarSet | None:
        """Its jars, each without what it depends on, which such jars bring along."""
        if not self.jars:
            return None
        named = [coordinates.split(":") for coordinates in self.jars]
        dependencies = [Dependency(organisation, name, version, alone=True) for organisation, name, version in named]
        return JarSet(f"peer-{self.name}", self.title, dependencies, FOLDER / self.name / "jars.sha256")

    def about(self) -> dict[str, object]:
        """What a reader of the figures has to know, JSON-ready."""
        return {"title": self.title, "does": self.does, "leaves_out": list(self.leaves_out), "packages": self.packages}


def known() -> Mapping[str, Peer]:
    """All peers by name; none where there is no checkout."""
    return {about.parent.name: _read(about) for about in sorted(FOLDER.glob("*/about.toml"))}


def chosen(text: str | None) -> tuple[Peer, ...]:
    """The peers of a list such as ``faust,flink_sql``, or ``all``, or ``none``; by default the bare loop, where there is a checkout.

    Raises UserError if one of them isn't known.
    """
    peers = known()
    if text == NONE or (text is None and not peers):
        return ()
    names = list(peers) if text == ALL else [BARE_LOOP] if text is None else text.split(",")
    if not peers or not set(names) <= set(peers):
        raise UserError(f"--peers {text} names others than {', '.join(peers) or 'none, for there is no checkout here'}; choose among them")
    return tuple(peer for name, peer in peers.items() if name in names)


def _read(file: Path) -> Peer:
    about = tomllib.loads(file.read_text())
    return Peer(
        file.parent.name,
        about["title"],
        about["does"],
        tuple(about["leaves_out"]),
        about.get("java", False),
        tuple(about.get("jars", ())),
    )
