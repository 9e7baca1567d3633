"""Workloads of keys at random, as many as asked: the simulation proper (``streams/simulate``) places every merchant near every user, which
takes memory for their product."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from features.definitions import DAY, Entity
from streams.simulate import SIMULATED
from tests.benchmarks.load.workload import Workload, written

_BEGIN_MS = 17_622 * DAY
_SEED = 0
_MEAN_AMOUNT, _SPREAD = 5_000, 1.0
HOT_SHARE = 0.5


def random_keys(users: int, merchants: int, transactions: int, folder: Path, hot: Entity | None = None) -> Workload:
    """``transactions`` of one day in the order of their event times, at first one a user, then users at random; merchants at random.

    With ``hot``, half of all are by one user, or at one merchant. Of the hundredth with the largest amounts half are frauds. Raises
    ValueError for fewer transactions than users.
    """
    if transactions < users:
        raise ValueError(f"{transactions:,} transactions are not enough for {users:,} users to have one each")
    rng = np.random.default_rng(_SEED)
    user = np.concatenate([rng.permutation(users), rng.integers(0, users, transactions - users)])
    merchant = rng.integers(0, merchants, transactions)
    if hot is not None:
        (user if hot == "user" else merchant)[rng.random(transactions) < HOT_SHARE] = 0
    amount = np.maximum(1, _MEAN_AMOUNT * rng.lognormal(0.0, _SPREAD, transactions)).astype(np.int64)
    columns = {
        "transaction_id": pa.array(np.arange(transactions)),
        "user_id": pa.array(user),
        "merchant_id": pa.array(merchant),
        "amount": pa.array(amount),
        "event_time": pa.array(_BEGIN_MS + np.arange(transactions) * DAY // transactions),
        "currency": pa.repeat("EUR", transactions),
        "is_fraud": pa.array((amount >= np.quantile(amount, 0.99)) & (rng.random(transactions) < 0.5)),
    }
    table = pa.table([columns.get(name, pa.nulls(transactions)).cast(SIMULATED.field(name).type) for name in SIMULATED.names], SIMULATED)
    about = f"random, {users:,} users and {merchants:,} merchants" + (f", half of all of one {hot}" if hot else "")
    return written(table, folder / f"random-{users}-{hot}.parquet", about)
