"""Garbage collection out of the way: a batch makes thousands of objects, and hardly ever a cycle for Python to search for."""

import gc
import threading
import time

_EVERY_S = 60.0


def collect_rarely() -> None:
    """Cycles are looked for once a minute, but never among what the process loaded in its first: that would stop it for half a second."""
    gc.disable()
    threading.Thread(target=_collect, name="garbage", daemon=True).start()


def _collect() -> None:
    time.sleep(_EVERY_S)
    gc.freeze()
    while True:
        time.sleep(_EVERY_S)
        gc.collect()
