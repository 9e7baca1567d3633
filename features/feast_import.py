"""Importing Feast in a third of the time, and without a folder of metrics."""

import os
import sys
from typing import Any

# Both names that prometheus-client has for it.
_METRICS_FOLDER = ("PROMETHEUS_MULTIPROCESS_DIR", "PROMETHEUS_MULTIPROC_DIR")


def import_feast() -> None:
    """Imports Feast unless it is there already.

    It has typeguard compile each of its classes anew, to check what they are given: 2.3 of 3.4 s of CPU, in every process that uses it.
    What we give it is typed and tested, so that is left out, as ``python -O`` would, for this import alone.
    """
    if "feast" in sys.modules:
        return
    # Before Feast has all metrics of the process, ours too, written to files of a temporary folder, which stays there if that is killed.
    import prometheus_client  # noqa: F401
    import typeguard

    checked = typeguard.typechecked
    typeguard.typechecked = _unchecked
    missing = [name for name in _METRICS_FOLDER if name not in os.environ]
    os.environ.update(dict.fromkeys(missing, os.devnull))
    try:
        import feast.infra.online_stores.redis  # noqa: F401
    finally:
        typeguard.typechecked = checked
        for name in missing:
            os.environ.pop(name, None)


def _unchecked(target: Any = None, **_options: Any) -> Any:
    return _unchecked if target is None else target
