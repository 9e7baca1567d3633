"""A backtest: a finished history through the kernel and a model, in process, as the stream would have decided."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.arrays import RecordKind
from features.definitions import FEATURE_SETS, FeatureSet
from features.history.log import HistoryLog, chunks
from models.policy import ACTIONS
from models.scoring import Scorer


@dataclass(frozen=True)
class Backtest:
    """A model over the transactions of a canonical table from ``begin`` (ms, inclusive) to ``end`` (exclusive).

    With ``history`` what came before ``begin`` warms the windows; without, the range stands alone, transactions and labels, as when it
    is replayed onto empty topics. A label counts from its label_time on. The feature set is the scorer's.
    """

    table: pa.Table
    scorer: Scorer
    begin: int
    end: int
    history: bool = True

    @property
    def schema(self) -> pa.Schema:
        """transaction_id, probability (float64, 0–1), risk_score (int8), decision, and a float32 column for each feature."""
        return pa.schema(
            [
                pa.field("transaction_id", pa.string(), nullable=False),
                pa.field("probability", pa.float64(), nullable=False),
                pa.field("risk_score", pa.int8(), nullable=False),
                pa.field("decision", pa.string(), nullable=False),
                *(pa.field(name, pa.float32(), nullable=False) for name in self.scorer.feature_names),
            ]
        )

    @property
    def log(self) -> HistoryLog:
        """What happened, in replay order, as far as it matters."""
        log = HistoryLog.from_table(self.table)
        event_time = self.table["event_time"].to_numpy()
        label_time = pc.fill_null(self.table["label_time"], 0).to_numpy()
        time = np.where(log.kind == RecordKind.TRANSACTION, event_time[log.row], label_time[log.row])
        first = 0 if self.history else int(np.searchsorted(time, self.begin))
        return _slice(log, slice(first, int(np.searchsorted(time, self.end))))

    def scores(self, log: HistoryLog) -> Iterator[tuple[int, pa.Table]]:
        """Some ten thousand transactions of ``log`` at a time, in its order: how many were taken in, and the scores (``schema``) of those
        in the range. A missing feature is NaN."""
        event_time = self.table["event_time"].to_numpy()
        for rows, vectors in chunks(log, feature_set_of(self.scorer)):
            asked = event_time[rows] >= self.begin
            yield len(rows), self._scored(rows[asked], np.ascontiguousarray(vectors[asked]))

    def _scored(self, rows: np.ndarray, vectors: np.ndarray) -> pa.Table:
        scores = self.scorer.score(vectors)
        columns = [
            self.table["transaction_id"].take(pa.array(rows)).combine_chunks(),
            pa.array(scores.probability),
            pa.array(scores.risk_score),
            pa.array(np.array(ACTIONS)[scores.decision], pa.string()),
            *(pa.array(vectors[:, j]) for j in range(vectors.shape[1])),
        ]
        return pa.table(columns, schema=self.schema)


def feature_set_of(scorer: Scorer) -> FeatureSet:
    """The feature set that the scorer was trained on. Raises ValueError if this program computes none of its digest."""
    for feature_set in FEATURE_SETS.values():
        if feature_set.digest == scorer.features_digest:
            return feature_set
    raise ValueError(f"no feature set has the digest {scorer.features_digest} of model {scorer.model_name} {scorer.model_version}")


def _slice(log: HistoryLog, part: slice) -> HistoryLog:
    return replace(
        log,
        kind=log.kind[part],
        row=log.row[part],
        time=log.time[part],
        amount=log.amount[part],
        fraud=log.fraud[part],
        device=log.device[part],
        user=(log.user[0][part], log.user[1]),
        merchant=(log.merchant[0][part], log.merchant[1]),
    )
