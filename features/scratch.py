"""Folders that a process makes for its own files, where what killed ones have left is removed by the next."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch(parent: Path, name: str) -> Iterator[Path]:
    """An empty folder in ``parent``, which is made if need be, for files of one kind; it is removed at the end, if it is still there.

    Raises OSError if it can't be written.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f"{name}-*"):
        process = left.name.rpartition("-")[2]
        if process == str(os.getpid()) or not _runs(process):
            shutil.rmtree(left, ignore_errors=True)
    folder = parent / f"{name}-{os.getpid()}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _runs(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True
