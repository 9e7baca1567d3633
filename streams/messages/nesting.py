"""How deeply JSON is nested, found before it is decoded.

A decoder gives up where the caller's own stack ends, so that a value would be taken by one reader and refused by another. This bound lies
far below that, and is the same for all.
"""

import re

import numpy as np

MAX_NESTING = 256
# Two bytes after a backslash belong together; a string that doesn't end goes on to the end of the value.
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_STEPS = np.zeros(256, np.int8)
_STEPS[list(b"[{")], _STEPS[list(b"]}")] = 1, -1


def is_too_deep(value: bytes) -> bool:
    """Whether a list or object of this JSON lies within more than 256 others, as far as it is JSON; in time linear in its length."""
    if len(value) <= MAX_NESTING or value.count(b"[") + value.count(b"{") <= MAX_NESTING:
        return False
    steps = _STEPS[np.frombuffer(_STRINGS.sub(b"", value), np.uint8)]
    return bool(np.cumsum(steps, dtype=np.int64).max(initial=0) > MAX_NESTING)
