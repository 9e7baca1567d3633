"""From arrival times to percentiles, and how the time is divided among the stages."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from features.arrays import Float64
from features.errors import UserError
from tests.benchmarks.figures.hops import Times

_PERCENTILES = (50, 90, 99)


def due_of(arrived: pa.Table, transaction_ids: Sequence[str], due: Float64) -> Float64:
    """When each arrived decision's transaction was due (ms UTC), given all ids sent and when each was.

    Raises UserError unless every one sent arrived, once.
    """
    row = {transaction_id: i for i, transaction_id in enumerate(transaction_ids)}
    rows = np.array([row.get(transaction_id, -1) for transaction_id in arrived["transaction_id"].to_pylist()], np.int64)
    if (rows < 0).any() or len(np.unique(rows)) != len(rows) or len(rows) != len(transaction_ids):
        known = len(np.unique(rows[rows >= 0]))
        raise UserError(
            f"of {len(transaction_ids):,} transactions sent {known:,} were decided, with {len(rows):,} decisions; measure again"
        )
    return due[rows]


def parts(arrived: pa.Table, due: Float64, times: Sequence[Times]) -> dict[str, Float64]:
    """How long (ms) each decision's transaction took to the log, until INGEST handed it on, until SCORE took it up, and until the committed
    decision was read. Kafka's timestamps and ``decided_at`` are whole milliseconds."""
    partition, offset = arrived["partition"].to_numpy(), arrived["offset"].to_numpy()
    appended, ingested = np.empty(len(due)), np.empty(len(due))
    for number, known in enumerate(times):
        here = partition == number
        appended[here] = known.appended[offset[here] - known.first]
        ingested[here] = known.ingested[offset[here] - known.first]
    decided, read = arrived["decided_at"].to_numpy(), arrived["arrived_at"].to_numpy()
    return {
        "produce": appended - due,
        "ingest": ingested - appended,
        "score_takes_up": decided - ingested,
        "score_commits_and_read": read - decided,
    }


def percentiles(delay: Float64) -> dict[str, float]:
    """p50, p90, p99 and the longest, in ms."""
    found = np.percentile(delay, _PERCENTILES).tolist()
    named: Mapping[str, float] = {f"p{p}_ms": value for p, value in zip(_PERCENTILES, found, strict=True)}
    return {name: round(value, 1) for name, value in {**named, "max_ms": float(delay.max())}.items()}
