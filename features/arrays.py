"""The arrays that move between modules: what their entries are."""

import numpy as np
import numpy.typing as npt

Bool = npt.NDArray[np.bool_]

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Int8 = npt.NDArray[np.int8]
Float32 = npt.NDArray[np.float32]
Records = npt.NDArray[np.void]
