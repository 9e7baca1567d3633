"""The deployment's key, by which its processes know each other's records: made by `tidemark up`, or given by the environment."""

import os
import secrets
import tempfile
from pathlib import Path

from features.errors import START_OVER, UserError

VARIABLE, FILE_VARIABLE = "TIDEMARK_ANSWER_KEY", "TIDEMARK_ANSWER_KEY_FILE"
_NAME = "answer.key"
_LEAST = 32


def answer_key(home: Path) -> str:
    """TIDEMARK_ANSWER_KEY, else the content of the file that TIDEMARK_ANSWER_KEY_FILE names, else of the one in the home.

    Raises UserError if there is none, it can't be read, or it has fewer than 32 characters. No message contains a key.
    """
    given, file = os.environ.get(VARIABLE, ""), os.environ.get(FILE_VARIABLE, "")
    if given:
        return _checked(given, VARIABLE)
    if file:
        return _read(Path(file).expanduser(), f"the file that {FILE_VARIABLE} names")
    kept = home / _NAME
    if not kept.exists():
        raise UserError(
            f"there is no {kept}, by whose key the processes of a deployment know each other's records; run tidemark up, or copy the file "
            f"from the machine where it was run and name it in {FILE_VARIABLE}; if no copy is left, {START_OVER}"
        )
    return _read(kept, "the deployment's key")


def ensure(home: Path) -> str:
    """As ``answer_key``, but one that is missing is made: 256 random bits, readable by the owner alone."""
    kept = home / _NAME
    if not is_given(home):
        home.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{_NAME}.", dir=home)
        draft = Path(name)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(secrets.token_hex(32) + "\n")
        try:
            # Of two that start at once, the first one's counts.
            os.link(draft, kept)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return answer_key(home)


def is_given(home: Path) -> bool:
    """Whether there is one, in the environment or in the home."""
    return is_from_environment() or (home / _NAME).exists()


def is_from_environment() -> bool:
    """Whether the environment gives one, which counts before the home's."""
    return bool(os.environ.get(VARIABLE) or os.environ.get(FILE_VARIABLE))


def move_aside(home: Path, stamp: str) -> Path | None:
    """Gives the home's key another name, so that a new one will be made; returns where it is now, None if there is none."""
    kept = home / _NAME
    return kept.rename(home / f"{_NAME}.{stamp}") if kept.exists() else None


def _read(file: Path, what: str) -> str:
    try:
        return _checked(file.read_text("utf-8-sig").strip(), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{what} can't be read ({file}: {error}); copy it from the machine where `tidemark up` was run") from error


def _checked(key: str, where: str) -> str:
    if len(key) < _LEAST:
        raise UserError(f"the key in {where} has {len(key)} characters, at least {_LEAST} are needed; use one that `tidemark up` has made")
    return key
