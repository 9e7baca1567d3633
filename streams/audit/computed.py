"""Recomputed transactions, to be found by their places on ``transactions``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa

from features.arrays import Float32, Int64
from streams.score import Observed

# A partition and an offset in one number: no log is so long that two would be taken for one.
_OFFSETS = 1 << 44


@dataclass
class ComputedDecision:
    """Recomputed transactions. ``rows``, ``position`` and ``vectors`` are as in ``score.Observed``; ``found`` (bool) says
    which were asked for."""

    rows: pa.Table
    position: Int64
    vectors: Float32
    keys: Int64
    order: Int64
    found: np.ndarray

    @classmethod
    def of(cls, observed: Sequence[Observed], width: int) -> Self:
        """Those of some calls, with vectors of this width."""
        some = [one for one in observed if len(one.rows)]
        if not some:
            empty = np.zeros(0, np.int64)
            return cls(pa.table({}), empty.reshape(0, 2), np.zeros((0, width), np.float32), empty, empty, np.zeros(0, np.bool_))
        rows = pa.Table.from_batches([one.rows for one in some])
        keys = keys_of_recomputed(rows)
        position, vectors = np.concatenate([one.position for one in some]), np.concatenate([one.vectors for one in some])
        return cls(rows, position, vectors, keys, np.argsort(keys, kind="stable"), np.zeros(len(keys), np.bool_))

    def find(self, keys: Int64) -> Int64:
        """The number of each place's row, −1 where there is none; notes these as found."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int64)
        at = self.order[np.minimum(np.searchsorted(self.keys, keys, sorter=self.order), len(self.order) - 1)]
        at = np.where(self.keys[at] == keys, at, -1)
        self.found[at[at >= 0]] = True
        return at

    def rest(self) -> list[Observed]:
        """What was not found."""
        left = np.flatnonzero(~self.found)
        if not len(left):
            return []
        rows = self.rows.take(pa.array(left)).combine_chunks().to_batches()[0]
        return [Observed(rows, self.position[left], self.vectors[left], [])]


def keys_of_logged(rows: pa.Table) -> Int64:
    """A number (int64) for the place of each row of the scoring log."""
    return np.asarray(rows["source_partition"].to_numpy().astype(np.int64) * _OFFSETS + rows["source_offset"].to_numpy())


def keys_of_recomputed(rows: pa.Table | pa.RecordBatch) -> Int64:
    """The same numbers for recomputed rows."""
    return np.asarray(rows["source"].to_numpy().astype(np.int64) * _OFFSETS + rows["offset"].to_numpy())
