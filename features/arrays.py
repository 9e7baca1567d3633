"""The arrays that move between modules, and what their entries mean."""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

Bool = npt.NDArray[np.bool_]

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Int8 = npt.NDArray[np.int8]
Float32 = npt.NDArray[np.float32]
Records = npt.NDArray[np.void]


class RecordKind(IntEnum):
    """What a row is, in logs, batches and the kernel (int8): a transaction, a label, or a record that was refused."""

    TRANSACTION = 0
    LABEL = 1
    REFUSED = 2


class Lateness(IntEnum):
    """How far behind its key's past a row came (int8): not at all, behind the key's anchor, or so far that no window counts it."""

    ON_TIME = 0
    LATE = 1
    TOO_LATE = 2
