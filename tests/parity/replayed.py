"""The vectors of a finished run: as they were logged, as the auditor recomputes them for the stream, and as a backtest has them."""

import numpy as np
import pyarrow as pa

from features.arrays import Float32
from streams.audit.kafka_audit import KafkaAudit
from streams.messages import scoring_log
from streams.messages.events import Decision
from streams.score import Observed
from tests.run.deployment import Deployment


def logged_vectors(deployment: Deployment) -> dict[str, Float32]:
    """The vector of each decision, by transaction_id."""
    found: dict[str, Float32] = {}
    for record in deployment.read("scoring-log"):
        rows = scoring_log.decode(record.value)
        for name, vector in zip(rows["transaction_id"].to_pylist(), scoring_log.vectors(rows), strict=True):
            assert name not in found, f"{name} was scored twice"
            found[name] = vector
    return found


def recomputed_vectors(deployment: Deployment) -> dict[str, Float32]:
    """The vector that the stream must have seen for each transaction, by its id."""
    found: dict[str, Float32] = {}

    def note(observed: Observed) -> None:
        found.update(zip(observed.rows["transaction_id"].to_pylist(), np.array(observed.vectors), strict=True))

    audit = KafkaAudit(deployment.config, observers=[note])
    try:
        audit.catch_up()
        audit.auditor.finish()
    finally:
        audit.close()
    return found


def assert_as_in_backtest(deployment: Deployment, scores: pa.Table) -> dict[str, Float32]:
    """Fails unless the run's vectors and decisions are, bit for bit, the rows of ``tidemark backtest``; returns the vectors."""
    logged = logged_vectors(deployment)
    decided = {decision.transaction_id: decision for decision in deployment.messages("decisions", Decision)}
    assert len(scores) == len(logged) == len(decided)
    vectors = np.column_stack([scores[name].to_numpy() for name in deployment.config.feature_set.names])
    expected = dict(zip(scores["transaction_id"].to_pylist(), vectors, strict=True))
    differing = [name for name, vector in logged.items() if vector.tobytes() != expected[name].tobytes()]
    assert not differing, f"{len(differing):,} of {len(expected):,} vectors differ"
    for name, probability, score, decision in zip(
        *(scores[column].to_pylist() for column in ("transaction_id", "probability", "risk_score", "decision")), strict=True
    ):
        decision_made = decided[name]
        assert (decision_made.probability, decision_made.risk_score, decision_made.decision) == (probability, score, decision)
    return logged
