"""What was served, with what became of it: the scoring log joined with labels, for training on the very vectors that decisions rested on.

A transaction of which no label has come by the time labels take counts as legitimate, except a blocked one, of which nobody saw whether it
was fraud.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions import FeatureSet
from features.errors import UserError
from models.training_set.label_maturity import Immature, immature_weights
from models.training_set.rows import TrainingSet

KEY = ("user_id", "transaction_id")
ORDER = ("event_time", "partition", "offset", "row")
ROW_COLUMNS = (*ORDER, "user_id", "transaction_id", "amount_minor", "is_fraud", "weight")
LOG_COLUMNS = ("transaction_id", "user_id", "event_time", "amount_minor", "features_digest", "partition", "offset", "row")
LABEL_COLUMNS = ("transaction_id", "user_id", "label_time", "is_fraud")
DECISION_COLUMNS = ("transaction_id", "user_id", "decision")


@dataclass(frozen=True)
class ServedRows:
    """``table`` has the columns ``ROW_COLUMNS`` and the features (float32), in order of event time and place in the log; ``weight`` is null
    where all count alike. ``immature`` and ``unlabelled`` count what was left out."""

    table: pa.Table
    immature: int
    unlabelled: int

    def training_set(self, names: tuple[str, ...]) -> TrainingSet:
        """The same as what a model learns from."""
        rows = self.table
        return TrainingSet(
            np.column_stack([rows[name].to_numpy().astype(np.float32) for name in names]),
            rows["is_fraud"].to_numpy().astype(np.bool_),
            rows["event_time"].to_numpy(),
            rows["amount_minor"].to_numpy(),
            self.immature,
            self.unlabelled,
            rows["user_id"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64),
            weight=None if rows["weight"].null_count else rows["weight"].to_numpy(),
        )


def served_rows(
    log: pa.Table,
    labels: pa.Table,
    decisions: pa.Table,
    feature_set: FeatureSet,
    begin: int,
    end: int,
    as_of: int,
    labels_after: int,
    immature: Immature = "left-out",
) -> ServedRows:
    """The rows decided from ``begin`` (inclusive) to ``end`` (exclusive) on vectors of this feature set, as known ``as_of``; times and
    ``labels_after`` in ms.

    ``log``, ``labels``, ``decisions`` are tables of the archive (at least ``LOG_COLUMNS`` and the features; ``LABEL_COLUMNS``;
    ``DECISION_COLUMNS``). Blocked rows without a label are left out (counted as ``unlabelled``). So are ``immature`` ones, or they are
    weighted by how much is known at their age; such that nothing is known of stay out. Raises UserError if nothing is left, nothing was
    decided on vectors of this feature set, or there is no matured fraud to weight by.
    """
    served = log.filter(
        pc.and_(
            pc.equal(log["features_digest"].cast(pa.string()), feature_set.digest),
            pc.and_(pc.greater_equal(log["event_time"], begin), pc.less(log["event_time"], end)),
        )
    )
    if not len(served):
        raise UserError(nothing_decided(feature_set))
    served = once(served.sort_by([(name, "ascending") for name in ORDER]))
    known = newest(labels.filter(pc.less_equal(labels["label_time"], as_of)))
    verdict = matched(served, known, "is_fraud")
    blocked = pc.equal(pc.fill_null(matched(served, once(decisions), "decision"), ""), "block").to_numpy(zero_copy_only=False)
    labelled = verdict.is_valid().to_numpy(zero_copy_only=False)
    event_time = served["event_time"].to_numpy()
    mature = event_time + labels_after <= as_of
    unseen = blocked & ~labelled
    weight: npt.NDArray[np.float64] | None = None
    counted = mature
    if immature == "weighted":
        took = matched(served, known, "label_time").to_numpy(zero_copy_only=False) - event_time
        frauds = mature & pc.fill_null(verdict, False).to_numpy(zero_copy_only=False)
        delays = np.clip(took[frauds], 0, labels_after).astype(np.int64)
        weight = np.where(mature, 1.0, immature_weights(as_of - event_time, labelled, delays))
        counted = weight > 0
    unseen &= counted
    chosen = counted & ~unseen
    if not chosen.any():
        raise UserError(nothing_left(int((~counted).sum()), int(unseen.sum())))
    served = served.append_column("is_fraud", pc.fill_null(verdict, False))
    served = served.append_column("weight", pa.nulls(len(served), pa.float64()) if weight is None else pa.array(weight))
    rows = served.filter(pa.array(chosen)).select([*ROW_COLUMNS, *feature_set.names])
    return ServedRows(rows, int((~counted).sum()), int(unseen.sum()))


def nothing_decided(feature_set: FeatureSet) -> str:
    """The error for a range without decisions on these features."""
    return (
        f"the archive has no decision on {feature_set.name} in the range; change --from, --to or --features, or run `tidemark archive` "
        "if they are yet to be archived"
    )


def nothing_left(immature: int, unseen: int) -> str:
    """The error for a range of which no row is left."""
    return (
        f"{immature:,} labels of the range come after --as-of and {unseen:,} of its transactions were blocked "
        "unseen, so nothing is left to learn from; give a later --as-of, or another --from and --to"
    )


def once(table: pa.Table, key: Sequence[str] = KEY) -> pa.Table:
    """The first row of each transaction, or of each other ``key``; at least once delivery may have sent it twice."""
    return _one_each(table, key, "min")


def last(table: pa.Table, key: Sequence[str] = KEY) -> pa.Table:
    """The last row of each transaction, or of each other ``key``."""
    return _one_each(table, key, "max")


def newest(labels: pa.Table) -> pa.Table:
    """Of each transaction the label that counts: the newest by label time, of equally new ones a fraud."""
    return once(labels.sort_by([("label_time", "descending"), ("is_fraud", "descending")]))


def matched(rows: pa.Table, found: pa.Table, column: str) -> pa.ChunkedArray:
    """The ``column`` of ``found`` for each row's transaction, null where it has none; in the order of the rows."""
    return with_matching(rows.select(KEY), found, [column])[column]


def with_matching(rows: pa.Table, found: pa.Table, columns: Sequence[str], key: Sequence[str] = KEY) -> pa.Table:
    """The rows, in their order, with these columns of ``found``, which has each ``key`` once; null where it hasn't."""
    keyed = rows.select(key).append_column("_place", pa.array(np.arange(len(rows))))
    matching = keyed.join(found.select([*key, *columns]), list(key), join_type="left outer").sort_by("_place")
    for name in columns:
        rows = rows.append_column(name, matching[name])
    return rows


def _one_each(table: pa.Table, key: Sequence[str], which: str) -> pa.Table:
    numbered = table.append_column("_place", pa.array(np.arange(len(table))))
    chosen = numbered.group_by(list(key)).aggregate([("_place", which)])[f"_place_{which}"].to_numpy()
    return table.take(pa.array(np.sort(chosen)))
