"""A workload whose keys don't fit any cache: every user pays once, then users come at random."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from api.bench.workload import Workload, written
from features.definitions import DAY
from streams.simulate import SIMULATED

_BEGIN_MS = 17_622 * DAY
_SEED = 0
_MEAN_AMOUNT, _SPREAD = 5_000, 1.0


def many_keys(users: int, merchants: int, transactions: int, folder: Path) -> Workload:
    """``transactions`` of one day, at least one a user, in the order of their event times; merchants alike and at random. None is a fraud.

    The simulation proper (``streams/simulate``) places every merchant near every user, which takes memory for their product.
    """
    if transactions < users:
        raise ValueError(f"{transactions:,} transactions are not enough for {users:,} users to have one each")
    rng = np.random.default_rng(_SEED)
    user = np.concatenate([rng.permutation(users), rng.integers(0, users, transactions - users)])
    merchant = rng.integers(0, merchants, transactions)
    amount = np.maximum(1, _MEAN_AMOUNT * rng.lognormal(0.0, _SPREAD, transactions)).astype(np.int64)
    at = _BEGIN_MS + np.arange(transactions) * DAY // transactions
    columns = {
        "transaction_id": pa.array(np.arange(transactions)).cast(pa.string()),
        "user_id": pa.array(user).cast(pa.string()),
        "merchant_id": pa.array(merchant).cast(pa.string()),
        "amount": pa.array(amount),
        "event_time": pa.array(at),
        "currency": pa.repeat("EUR", transactions),
        "is_fraud": pa.repeat(False, transactions),
    }
    table = pa.table([columns.get(name, pa.nulls(transactions)).cast(SIMULATED.field(name).type) for name in SIMULATED.names], SIMULATED)
    return written(table, folder / "many-keys.parquet", f"random, {users:,} users and {merchants:,} merchants")
