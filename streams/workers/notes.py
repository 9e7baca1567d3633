"""What a stage's process leaves for its worker: that it came up, and the sentence with which it ended.

It is a file without a name that both have open: a pipe could fill up, and what goes to stderr is for people.
"""

import contextlib
import os
import tempfile

_VARIABLE = "TIDEMARK_STAGE_NOTES"
_UP = b"up\n"


class Notes:
    """The worker's side, one for each start of a process. Close it after use."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # see close

    @property
    def descriptor(self) -> int:
        """The file descriptor that the process inherits."""
        return self._file.fileno()

    def environment(self) -> dict[str, str]:
        """The environment by which the process finds it."""
        return {**os.environ, _VARIABLE: str(self.descriptor)}

    @property
    def came_up(self) -> bool:
        """Whether the process has opened what the group assigned to it."""
        return self._read().startswith(_UP)

    @property
    def last_words(self) -> str:
        """The sentence with which it ended; empty if it left none."""
        return self._read().removeprefix(_UP).decode(errors="replace").strip()

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()

    def _read(self) -> bytes:
        return os.pread(self.descriptor, 1 << 16, 0)


def come_up() -> None:
    """Notes, in a stage's process, that it has come up. More than once does no harm."""
    found = _descriptor()
    if found is not None and not os.pread(found, len(_UP), 0):
        os.write(found, _UP)


def leave(sentence: str) -> bool:
    """Leaves the sentence with which this process ends; False if nobody is there to read it."""
    found = _descriptor()
    if found is None:
        return False
    os.write(found, " ".join(sentence.split()).encode())
    return True


def _descriptor() -> int | None:
    with contextlib.suppress(KeyError, ValueError, OSError):
        found = int(os.environ[_VARIABLE])
        os.fstat(found)
        return found
    return None
