"""A child process that ends when its parent does, even if the parent is killed."""

import ctypes
import os
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Sends this process SIGTERM once its parent, of this process id, is gone. Call it first thing in the child's main thread."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    # The parent may have gone before that call, and other systems have no such call.
    threading.Thread(target=_watch, args=(parent,), name="parent", daemon=True).start()


# An orderly end may wait for services that are gone too.
_PATIENCE_S = 8


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE_S)
    os._exit(1)
