"""A reset that has begun: noted in the home until it is done, for nothing else may work on half of a deployment."""

from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from features.errors import UserError

_NAME = "reset.json"


@dataclass(frozen=True)
class PendingReset:
    """What the deployment is to be again: its facts, the partitions of ``transactions``, and the ``stamp`` in the names of what is moved
    aside."""

    features: str
    currency: str
    partitions: int
    stamp: str


def of(home: Path) -> PendingReset | None:
    """The one that has begun and isn't done; None if there is none."""
    try:
        return msgspec.json.decode((home / _NAME).read_bytes(), type=PendingReset)
    except FileNotFoundError:
        return None


def begin(home: Path, reset: PendingReset) -> None:
    """Notes it."""
    draft = home / f".{_NAME}"
    draft.write_bytes(msgspec.json.encode(asdict(reset)))
    draft.replace(home / _NAME)


def done(home: Path) -> None:
    """Forgets it."""
    (home / _NAME).unlink()


def require_none(home: Path) -> None:
    """Raises UserError while one is under way, or was broken off."""
    if (home / _NAME).exists():
        raise UserError(f"a reset of {home} has begun and isn't done; run `tidemark reset --keep-models` again")
