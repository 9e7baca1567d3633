"""Which of our sources a module runs: its own and those that it imports, and they in turn, read from the files and never imported.

Digests of code are made of these, so that none can miss a file that the code has come to use.
"""

import ast
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from pathlib import Path

# The content of a source by its path from the root, such as features/tiles.py; None if there is no such file.
Read = Callable[[str], bytes | None]

_ROOT = Path(__file__).parents[1]


@cache
def read_own(path: str) -> bytes | None:
    """Our source as it was when this process first asked."""
    try:
        return (_ROOT / path).read_bytes()
    except FileNotFoundError:
        return None


def closure(names: Iterable[str], packages: Collection[str], read: Read = read_own) -> dict[str, bytes]:
    """The sources, by path, of the named modules, of the packages they lie in, and of all that these import, as far as it lies in the
    top-level ``packages``. Names that aren't modules are left out, so that what ``imported`` returns may be given."""
    sources: dict[str, bytes] = {}
    names, seen = list(names), set[str]()
    while names:
        name = names.pop()
        package, _, _ = name.rpartition(".")
        if name in seen or name.partition(".")[0] not in packages:
            continue
        seen.add(name)
        names += [package] if package else []
        folder = name.replace(".", "/")
        for path in (f"{folder}.py", f"{folder}/__init__.py"):
            source = read(path)
            if source is not None:
                sources[path] = source
                names += imported(source)
                break
    return dict(sorted(sources.items()))


@cache
def imported(source: bytes) -> frozenset[str]:
    """What the source may import when it runs: modules, and names in modules, which may be modules themselves (``from a import b`` gives
    a and a.b). Relative imports, which no source of ours has, are left out."""
    found: set[str] = set()
    statements: list[ast.AST] = [*ast.parse(source).body]
    while statements:
        statement = statements.pop()
        if isinstance(statement, ast.Import):
            found.update(alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            found.add(statement.module)
            found.update(f"{statement.module}.{alias.name}" for alias in statement.names)
        for block in ("body", "orelse", "handlers", "finalbody", "cases"):
            if not (block == "body" and _is_for_types_only(statement)):
                statements += getattr(statement, block, [])
    return frozenset(found)


def digest(sources: Mapping[str, bytes]) -> str:
    """Hex SHA-256 of the sources and their paths."""
    whole = hashlib.sha256()
    for path, source in sorted(sources.items()):
        whole.update(path.encode() + b"\0" + hashlib.sha256(source).digest())
    return whole.hexdigest()


def _is_for_types_only(statement: ast.AST) -> bool:
    return isinstance(statement, ast.If) and isinstance(statement.test, ast.Name) and statement.test.id == "TYPE_CHECKING"
