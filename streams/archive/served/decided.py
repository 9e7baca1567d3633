"""What was decided, with what became of it: the scoring log joined with decisions and labels, whatever came of them."""

import pyarrow as pa
import pyarrow.compute as pc

from streams.archive.served.rows import ORDER, matched, newest, once

LOG_COLUMNS = (
    *("transaction_id", "user_id", "merchant_id", "event_time", "amount_minor", "probability", "model_version", "model_digest", "variant"),
    *("features_digest", "partition", "offset", "row"),
)
DECIDED = ("decision", "is_fraud", "label_time")


def decided_rows(log: pa.Table, labels: pa.Table, decisions: pa.Table, as_of: int) -> pa.Table:
    """The rows of the scoring log (at least ``LOG_COLUMNS``), each transaction once and in order of event time and place in the log, with
    its ``decision``, and ``is_fraud`` and ``label_time`` of the label that counts ``as_of`` (ms), null where there is none."""
    served = once(log.sort_by([(name, "ascending") for name in ORDER]))
    known = newest(labels.filter(pc.less_equal(labels["label_time"], as_of)))
    made = once(decisions)
    found = {"decision": matched(served, made, "decision"), **{name: matched(served, known, name) for name in ("is_fraud", "label_time")}}
    for name, column in found.items():
        served = served.append_column(name, column)
    return served
