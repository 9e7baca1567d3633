"""Importing Feast in a third of the time."""

import sys
from typing import Any


def import_feast() -> None:
    """Imports Feast unless it is there already.

    It has typeguard compile each of its classes anew, to check what they are given: 2.3 of 3.4 s of CPU, in every process that uses it.
    What we give it is typed and tested, so that is left out, as ``python -O`` would, for this import alone.
    """
    if "feast" in sys.modules:
        return
    import typeguard

    checked = typeguard.typechecked
    typeguard.typechecked = _unchecked
    try:
        import feast.infra.online_stores.redis  # noqa: F401
    finally:
        typeguard.typechecked = checked


def _unchecked(target: Any = None, **_options: Any) -> Any:
    return _unchecked if target is None else target
