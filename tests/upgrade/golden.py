"""Golden files: JSON that people can read in a diff, figures exact to the bit."""

import base64
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def versions() -> list[str]:
    """All versions with golden files, oldest first."""
    return sorted((folder.name for folder in HERE.iterdir() if folder.name[0].isdigit()), key=lambda name: [*map(int, name.split("."))])


def holding(file: str) -> list[str]:
    """The versions that have this file, oldest first."""
    return [version for version in versions() if (HERE / version / file).exists()]


def read(version: str, file: str) -> Any:
    return json.loads((HERE / version / file).read_text())


def text(content: object) -> str:
    """A golden file's text."""
    return json.dumps(content, indent=1) + "\n"


def exact(figures: Iterable[float]) -> str:
    """Floats without loss; NaN is equal to itself."""
    return " ".join(float(figure).hex() for figure in figures)


def packed(value: bytes) -> str:
    """Bytes as text."""
    return base64.b64encode(value).decode()


def unpacked(value: str) -> bytes:
    return base64.b64decode(value)


def exact_rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a table as JSON can hold them."""
    return [{name: _exact(value) for name, value in row.items()} for row in rows]


def _exact(value: Any) -> Any:
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, bytes):
        return packed(value)
    if isinstance(value, list) and value and isinstance(value[0], float):
        return exact(value)
    return value if value is None or isinstance(value, int | str | list) else str(value)
