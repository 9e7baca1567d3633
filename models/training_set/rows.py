"""From a canonical table to what a model learns from: vectors as they would have been, labels as they were known on a given day."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.arrays import Bool, Float32, Int64
from features.definitions import FeatureSet
from features.errors import UserError
from features.history.log import HistoryLog, chunks
from models.training_set.label_maturity import inverse_propensity
from models.training_set.splits import learnable_rows


@dataclass(frozen=True)
class TrainingSet:
    """One entry a row, in replay order: ``vectors`` (float32, n × names, NaN = missing), ``is_fraud``, ``event_time`` (ms), ``amount``
    (minor units), ``user`` (a number for each), ``country`` ("" if unknown), ``weight`` (how many transactions a row stands for, above 0);
    the last three are None where they aren't known, and without weights all rows count alike. ``immature`` and ``unlabelled`` count
    what the range held besides."""

    vectors: Float32
    is_fraud: Bool
    event_time: Int64
    amount: Int64
    immature: int = 0
    unlabelled: int = 0
    user: Int64 | None = None
    country: npt.NDArray[np.str_] | None = None
    weight: npt.NDArray[np.float64] | None = None

    @property
    def frauds(self) -> int:
        """How many rows are frauds."""
        return int(np.count_nonzero(self.is_fraud))

    def where(self, rows: Bool) -> Self:
        """The rows for which the mask is true."""
        return self._taken(rows)

    def part(self, begin: int, end: int) -> Self:
        """The rows from number ``begin`` to before ``end``, without a copy."""
        return self._taken(slice(begin, end))

    def take(self, rows: Int64) -> Self:
        """The rows of these numbers, in this order."""
        return self._taken(rows)

    def mature(self, as_of: int, labels_after: int) -> tuple[Self, Self | None]:
        """The rows whose labels, ``labels_after`` ms later, are known ``as_of`` (ms), and the younger, weighted ones, if any.

        Raises ValueError if there are younger ones without a weight.
        """
        old = self.event_time + labels_after <= as_of
        if old.all():
            return self, None
        if self.weight is None:
            raise ValueError(f"{int((~old).sum())} rows are immature and have no weight")
        return replace(self.where(old), immature=self.immature, unlabelled=self.unlabelled), self.where(~old)

    def followed_by(self, later: Self) -> Self:
        """These rows, then the ``later`` ones, of the same source. A row without a weight has weight 1 if others have one; of users and
        countries nothing is known unless both have them."""
        weight = None
        if self.weight is not None or later.weight is not None:
            weight = np.concatenate([np.ones(len(one.is_fraud)) if one.weight is None else one.weight for one in (self, later)])
        return type(self)(
            np.concatenate([self.vectors, later.vectors]),
            np.concatenate([self.is_fraud, later.is_fraud]),
            np.concatenate([self.event_time, later.event_time]),
            np.concatenate([self.amount, later.amount]),
            self.immature,
            self.unlabelled,
            None if self.user is None or later.user is None else np.concatenate([self.user, later.user]),
            None if self.country is None or later.country is None else np.concatenate([self.country, later.country]),
            weight,
        )

    def _taken(self, rows: Bool | Int64 | slice) -> Self:
        return type(self)(
            self.vectors[rows],
            self.is_fraud[rows],
            self.event_time[rows],
            self.amount[rows],
            user=None if self.user is None else self.user[rows],
            country=None if self.country is None else self.country[rows],
            weight=None if self.weight is None else self.weight[rows],
        )


def training_set(
    table: pa.Table,
    feature_set: FeatureSet,
    begin: int,
    end: int,
    as_of: int,
    labels_after: int,
    advanced: Callable[[int], None] = lambda _rows: None,
    propensity: npt.NDArray[np.float64] | None = None,
) -> TrainingSet:
    """The rows of a canonical table from ``begin`` (inclusive) to ``end`` (exclusive) whose label is known as of ``as_of``; times and
    ``labels_after`` in ms.

    What lies before ``begin`` warms the windows; what happened, or became known, after ``as_of`` changes nothing. ``advanced`` is called
    with how many transactions were taken in. ``propensity`` (0–1, NaN = 1, one entry a row of the table) is the probability with which each
    transaction was let through; its inverse is the row's weight. Raises UserError if nothing is left to learn from.
    """
    event_time = table["event_time"].to_numpy()
    labelled = table["is_fraud"].is_valid().to_numpy()
    if not labelled.any():
        raise UserError("none of the file's transactions has a label; map it with --columns is_fraud=…")
    learnable = learnable_rows(event_time, labelled, begin, end, as_of, labels_after)
    if not len(learnable.rows):
        raise UserError(_nothing_left(learnable.immature, learnable.unlabelled))
    wanted = np.zeros(len(table), np.bool_)
    wanted[learnable.rows] = True
    # Vectors look only back, so the kernel may stop at the last row wanted; a label that comes later can't reach any of them either.
    past = event_time <= event_time[learnable.rows].max()
    table, wanted = table.filter(pa.array(past)), wanted[past]
    weight = None if propensity is None else inverse_propensity(propensity[past])
    is_fraud = pc.fill_null(table["is_fraud"], False).to_numpy()

    rows, vectors = [], []
    for row, vector in chunks(HistoryLog.from_table(table), feature_set):
        rows.append(row[wanted[row]])
        vectors.append(vector[wanted[row]])
        advanced(len(row))
    order = np.concatenate(rows)
    return TrainingSet(
        np.concatenate(vectors),
        is_fraud[order],
        table["event_time"].to_numpy()[order],
        table["amount"].to_numpy()[order],
        learnable.immature,
        learnable.unlabelled,
        table["user_id"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)[order],
        _countries(table)[order],
        None if weight is None else weight[order],
    )


def _countries(table: pa.Table) -> npt.NDArray[np.str_]:
    return np.asarray(pc.fill_null(table["country"].cast(pa.string()), "").to_numpy(zero_copy_only=False), np.str_)


def _nothing_left(immature: int, unlabelled: int) -> str:
    if not immature and not unlabelled:
        return "there is no transaction from --from to --to; give a range that the file covers"
    reasons = [f"{immature:,} labels of the range come after --as-of"] * bool(immature)
    reasons += [f"{unlabelled:,} of its transactions have no label"] * bool(unlabelled)
    return f"{' and '.join(reasons)}, so nothing is left to learn from; give a later --as-of, or another --from and --to"
