"""When a batch's transactions came in, as a header of it: for whoever measures how long they took, and for nothing else.

Rows next to each other mostly came with one request of a producer's and so carry one timestamp of the broker's: runs are few.
``1700000000000:5,3:2`` says five rows then, and two 3 ms later.
"""

import numpy as np

from features.arrays import Int64

ARRIVED = "tidemark-arrived"


def encode(timestamps: Int64) -> bytes:
    """The header's value for rows with these timestamps (ms), at least one."""
    begins = np.flatnonzero(np.diff(timestamps, prepend=timestamps[0] - 1))
    apart = np.diff(timestamps[begins], prepend=0).tolist()
    rows = np.diff(begins, append=len(timestamps)).tolist()
    return ",".join([f"{ms}:{count}" for ms, count in zip(apart, rows, strict=True)]).encode()


def decode(value: bytes) -> Int64:
    """Each row's timestamp (ms)."""
    runs = np.array(value.decode().replace(":", ",").split(","), np.int64)
    return np.repeat(np.cumsum(runs[::2]), runs[1::2])
