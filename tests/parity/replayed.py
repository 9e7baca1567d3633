"""The vectors of a finished run: as they were logged, and as the auditor recomputes them for the stream, whoever answered."""

import numpy as np

from features.windows import Float32
from streams import scoring_log
from streams.kafka_audit import KafkaAudit
from streams.score import Observed
from tests.deployment import Deployment


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
