"""Fewer legitimate rows: frauds are rare, and of the rest a part teaches nearly as much. Which rows stay, and how the prior is corrected.

Rows are chosen evenly by place, where they are in order, or by a hash of the transaction, which every engine draws alike. What is learnt
from fewer rows is corrected by weights (Elkan, 2001, "The Foundations of Cost-Sensitive Learning"; King and Zeng, 2001, "Logistic
Regression in Rare Events Data") or in the model's log-odds (Dal Pozzolo et al., 2015, "Calibrating Probability with Undersampling").
"""

import zlib
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.arrays import Bool, Float64, Int64
from models.training_set.rows import TrainingSet


def kept_by_place(is_fraud: Bool, every: int, seed: int = 0) -> Int64:
    """Numbers of the rows that stay: every fraud, and of the others every ``every``-th, evenly over time; ``seed`` shifts the first one."""
    stays = is_fraud.copy()
    stays[np.flatnonzero(~is_fraud)[seed % every :: every]] = True
    return np.flatnonzero(stays)


def kept_by_hash(transactions: Iterable[tuple[str, str]], every: int) -> Bool:
    """Whether each (user, transaction) stays: about one in ``every``, those whose CRC-32 it divides."""
    return np.array([zlib.crc32(f"{user}\0{transaction}".encode()) % every == 0 for user, transaction in transactions], np.bool_)


def corrected_weight(weight: Float64, thinned: Bool, every: int) -> Float64:
    """The weights of rows of which the ``thinned`` ones stand for ``every`` of their kind."""
    return np.where(thinned, weight * every, weight)


def log_odds_correction(every: int) -> float:
    """What to add to log-odds that were learnt, without weights, where only every ``every``-th legitimate row stayed."""
    return -float(np.log(every))


def thin(rows: TrainingSet, every: int, seed: int = 0) -> TrainingSet:
    """All frauds and every ``every``-th other row, by place; the others ``every`` times as heavy."""
    if every == 1:
        return rows
    kept = rows.take(kept_by_place(rows.is_fraud, every, seed))
    weight = np.ones(len(kept.is_fraud)) if kept.weight is None else kept.weight
    return replace(kept, weight=corrected_weight(weight, ~kept.is_fraud, every))


def thin_table(rows: pa.Table, every: int, whole_from: int) -> pa.Table:
    """A table (``user_id``, ``transaction_id``, ``is_fraud``, ``event_time``, ``weight``) with all frauds, all from ``whole_from`` (ms) on,
    which choose and judge, and of the others one in ``every``, by hash, so many times as heavy as it was (1 where the weight is null)."""
    if every == 1:
        return rows
    thinned = ~rows["is_fraud"].to_numpy() & (rows["event_time"].to_numpy() < whole_from)
    stays = kept_by_hash(zip(rows["user_id"].to_pylist(), rows["transaction_id"].to_pylist(), strict=True), every)
    weight = corrected_weight(pc.fill_null(rows["weight"], 1.0).to_numpy(), thinned, every)
    weighted = rows.set_column(rows.schema.get_field_index("weight"), "weight", pa.array(weight))
    return weighted.filter(pa.array(~thinned | stays))
