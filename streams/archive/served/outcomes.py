"""The rows of the table ``outcomes``: each decision with what is known to have become of it."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions import DAY
from models.monitoring.outcomes import Outcomes
from models.training_set.label_maturity import DelaysBySource
from streams.archive.served.counting_labels import FOUND

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("transaction_id", "user_id", "merchant_id")),
        *((name, pa.int64()) for name in ("event_time", "decided_at", "amount")),
        ("decision", pa.string()),
        ("probability", pa.float64()),
        *((name, pa.string()) for name in ("model_version", "model_digest", "policy_digest", "variant", "origin")),
        ("degraded", pa.bool_()),
        *FOUND,
        ("mature", pa.bool_()),
        ("outcome", pa.string()),
        ("known", pa.float64()),
    ]
)
"""Times in ms, ``amount`` in minor units, ``probability`` and ``known`` 0–1. What isn't archived is null; ``labels`` is then 0 and
``reversed`` false. ``outcome``, ``mature`` and ``known`` are those of ``models/monitoring/outcomes.py``."""

LEARNT_FROM = ("event_time", "is_fraud", "first_fraud_time", "first_fraud_source")
_RENAMED = {"amount": "amount_minor"}


def with_outcomes(rows: pa.Table, as_of: int, delay: int, delays: DelaysBySource) -> pa.Table:
    """``decided_rows`` with ``mature``, ``outcome`` and ``known`` as of then; times and the ``delay`` of labels in ms."""
    outcomes = Outcomes.of(
        rows["event_time"].to_numpy(),
        pc.fill_null(rows["is_fraud"], False).to_numpy(),
        rows["is_fraud"].is_valid().to_numpy(),
        pc.fill_null(pc.equal(rows["decision"].cast(pa.string()), "block"), False).to_numpy(),
        as_of,
        delay,
        delays,
    )
    for name, values in (("mature", outcomes.mature), ("outcome", outcomes.words), ("known", outcomes.known)):
        rows = rows.append_column(name, pa.array(values, SCHEMA.field(name).type))
    return rows


def outcome_rows(rows: pa.Table) -> pa.Table:
    """Rows ``with_outcomes`` as the table has them."""
    columns = {name: rows[_RENAMED.get(name, name)] for name in SCHEMA.names}
    for name, nothing in (("labels", 0), ("reversed", False)):
        columns[name] = pc.fill_null(columns[name], nothing)
    return pa.table(columns).cast(SCHEMA).combine_chunks()


def learnt_before(as_of: int, delay: int) -> int:
    """The event time (ms) before which frauds show how long labels take: the last midnight by which all decisions are mature."""
    return (as_of - delay) // DAY * DAY


def delays_of(rows: pa.Table, as_of: int, delay: int) -> DelaysBySource:
    """How long labels take, by rows with ``LEARNT_FROM``, of which the frauds of days that have matured whole count. A label that took
    longer than ``delay`` is as one that took just that."""
    learnt = pc.and_(pc.fill_null(rows["is_fraud"], False), pc.less(rows["event_time"], learnt_before(as_of, delay)))
    frauds = rows.filter(learnt)
    took = frauds["first_fraud_time"].to_numpy() - frauds["event_time"].to_numpy()
    return DelaysBySource.of(pc.fill_null(frauds["first_fraud_source"], "").to_pylist(), np.clip(took, 0, delay).astype(np.int64))
