"""What was decided, with what became of it: the scoring log joined with decisions and labels, whatever came of them."""

import pyarrow as pa

from streams.archive.served.counting_labels import FOUND, labelled
from streams.archive.served.rows import KEY, ORDER, once, with_matching

LOG_COLUMNS = (
    *("transaction_id", "user_id", "merchant_id", "event_time", "amount_minor", "probability", "model_version", "model_digest"),
    *("policy_digest", "variant", "origin", "partition", "offset", "row"),
)
DECISION_COLUMNS = ("transaction_id", "user_id", "event_time", "decision", "decided_at", "degraded", "partition", "offset")


def decided_rows(log: pa.Table, labels: pa.Table, decisions: pa.Table, as_of: int) -> pa.Table:
    """The rows of the scoring log (at least ``LOG_COLUMNS``), each transaction once and in order of event time and place in the log, with
    its ``decision``, ``decided_at`` (ms) and ``degraded``, and what its labels say ``as_of`` (ms, ``FOUND``), null where there is none.

    ``decisions`` has ``DECISION_COLUMNS``, ``labels`` what ``labelled`` asks for.
    """
    served = once(log.sort_by([(name, "ascending") for name in ORDER]))
    # An id that was used again, long after, is another decision.
    at = (*KEY, "event_time")
    made = once(decisions.sort_by([("partition", "ascending"), ("offset", "ascending")]), at)
    served = with_matching(served, made, ["decision", "decided_at", "degraded"], at)
    return with_matching(served, labelled(labels, as_of), FOUND.names)
