"""Compiled functions whose machine code is kept for the processes to come.

Numba's own cache has an index a function, which names numbered files, and writes the index before the file. When processes start at once
on changed source, or one dies between the two, a name may stand for former machine code, or for that of another signature. Here a file's
name follows from the sources and the signature, and its key stands in it, so that no order of reads and writes can mix them up. The
sources are the function's own and all of ours that it imports: constants and other functions are compiled into it.
"""

# Numba has no types.
# mypy: disallow-untyped-calls=False

import hashlib
import inspect
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile

from features.source_closure import closure, digest, imported

Function = TypeVar("Function", bound=Callable[..., Any])

# The rooms a compiled function may take constants and other functions from.
_PACKAGES = ("features", "models", "streams")


class _Files(IndexDataCacheFile):
    """A function's machine code, a file a signature. Those of the module's former sources are removed when new code is saved."""

    def __init__(self, folder: Path, base: str, source: bytes) -> None:
        super().__init__(str(folder), base, source)
        self._folder, self._base, self._source = folder, base, hashlib.sha256(source).hexdigest()[:16]

    def load(self, key: Any) -> Any:
        """None if there is none, or another's."""
        try:
            stored, data = self._load_data(self._name(key))
        except OSError:
            return None
        return data if stored == key else None

    def save(self, key: Any, data: Any) -> None:
        """Whole or not at all."""
        self._save_data(self._name(key), (key, data))
        module = self._base.partition(".")[0]
        for file in self._folder.glob(f"{module}.*.nb[ci]"):
            if f".{self._source}." not in file.name:
                file.unlink(missing_ok=True)

    def flush(self) -> None:
        """Forgets all signatures."""
        for file in self._folder.glob(f"{self._base}.*.nbc"):
            file.unlink(missing_ok=True)

    def _name(self, key: Any) -> str:
        # A name that two keys have in common would cost a compilation, no more.
        digest = hashlib.sha256(repr((numba.__version__, key)).encode()).hexdigest()[:16]
        return f"{self._base}.{self._source}.{digest}.nbc"


class _Cache(FunctionCache):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file = _Files(Path(self._cache_path), self._impl.filename_base, _sources_of(inspect.getfile(function)).encode())


@cache
def _sources_of(file: str) -> str:
    """Hex SHA-256 of a Python file and of all that it imports of ours, and of what compiles it."""
    own = Path(file).read_bytes()
    return digest({Path(file).name: own, **closure({*imported(own), "features.compiled"}, _PACKAGES)})


def jit(function: Function, **options: Any) -> Function:
    """The function compiled, for each signature when it is first called with one."""
    # Hops are never 0 and divisions by a count are guarded, so Python's check before each division would be in vain.
    dispatcher = numba.njit(nogil=True, error_model="numpy", **options)(function)
    dispatcher._cache = _Cache(function)
    return dispatcher  # type: ignore[no-any-return]


# A call hands over some hundred figures, for that many describe the windows' arrays: what every row does is compiled into its caller.
inlined = partial(jit, forceinline=True)
