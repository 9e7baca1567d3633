"""Fewer legitimate rows of a training set, the same in every engine: of those older than a moment, those stay whose transaction's CRC-32 is
divisible, each so much heavier. That corrects the prior: what is learnt from the sample are the probabilities of all rows (King and Zeng,
2001, "Logistic Regression in Rare Events Data", on weighting). Younger rows, which choose and judge, are all there.
"""

import zlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def sampled(rows: pa.Table, keep_every: int, whole_from: int) -> pa.Table:
    """The rows that stay, with their weights: all frauds, all from ``whole_from`` (ms) on, of the others one in ``keep_every``, so many
    times as heavy as it was (1 where nothing is said)."""
    if keep_every == 1:
        return rows
    keys = zip(rows["user_id"].to_pylist(), rows["transaction_id"].to_pylist(), strict=True)
    drawn = np.fromiter(
        (zlib.crc32(f"{user}\0{transaction}".encode()) % keep_every == 0 for user, transaction in keys), np.bool_, len(rows)
    )
    thinned = ~rows["is_fraud"].to_numpy() & (rows["event_time"].to_numpy() < whole_from)
    before = pc.fill_null(rows["weight"], 1.0).to_numpy()
    weighted = rows.set_column(rows.schema.get_field_index("weight"), "weight", pa.array(np.where(thinned, keep_every * before, before)))
    return weighted.filter(pa.array(~thinned | drawn))
