"""The point-in-time join: for each key and time asked for, the key's last row at or before it."""

import numpy as np
import pandas as pd
import pyarrow as pa

from features.arrays import Int64


def last_rows(keys: pa.ChunkedArray, times: Int64, row_keys: pa.ChunkedArray, row_times: Int64, row_order: Int64) -> pa.Array:
    """For each asked (key, time) the number of the row of that key with the largest time at or before it; null if there is none.

    Of rows with equal keys and times the one with the largest ``row_order`` counts. Keys are strings; times are of any one unit.
    """
    asked = pd.DataFrame({"key": keys.to_pandas(), "time": times, "place": np.arange(len(times))})
    # Rows in the order in which they came to hold.
    held = np.lexsort((row_order, row_times))
    rows = pd.DataFrame({"key": row_keys.to_pandas().to_numpy()[held], "time": row_times[held], "row": held})
    found = pd.merge_asof(asked.sort_values("time", kind="stable"), rows, on="time", by="key")
    numbers = np.empty(len(times))
    numbers[found["place"].to_numpy()] = found["row"].to_numpy()
    missing = np.isnan(numbers)
    return pa.array(np.where(missing, 0, numbers).astype(np.int64), mask=missing)
