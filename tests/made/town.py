"""A made town: payments with all sorts of labels, and what of its archive came twice."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.definitions import DAY, HOUR


def payments(
    rng: np.random.Generator, time: npt.NDArray[np.int64], users: Sequence[str], merchants: Sequence[str], unlabelled: float
) -> pa.Table:
    """The canonical table of payments at these times (ms); one has no device; labels, but for that share, are early, late or too late."""
    n = len(time)
    label_time = time + rng.choice([-HOUR, 0, 6 * HOUR, 7 * DAY, 12 * DAY, 70 * DAY], n)
    return pa.table(
        {
            "transaction_id": [f"t{i}" for i in range(n)],
            "user_id": users,
            "merchant_id": merchants,
            "event_time": time,
            "amount": rng.integers(0, 50_000, n),
            "device_id": [None if i == 3 else f"d{i}" for i in rng.integers(0, 5, n)],
            "is_fraud": rng.random(n) < 0.7,
            "label_time": pa.array(label_time, mask=rng.random(n) < unlabelled),
        }
    )


def sent_later(records: pa.Table) -> pa.Table:
    """Records of an archive as if they had been sent once more after all others."""
    at = records.schema.get_field_index("offset")
    return records.set_column(at, records.schema.field(at), pa.array(1_000_000 + np.arange(len(records))))
