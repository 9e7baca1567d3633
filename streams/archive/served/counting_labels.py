"""Which label of a transaction counts, which ones it has had, and whether the one that counts takes a fraud back.

The archive has a label on its own topic and as a copy on its user's log, or, if a replay sent it, only there; any of them may have been
sent twice. Labels that say the same of a transaction at the same time are one.
"""

import pyarrow as pa
import pyarrow.compute as pc

from streams.archive.served.rows import KEY, last

LABEL_COLUMNS = ("transaction_id", "user_id", "label_time", "is_fraud", "source", "timestamp", "partition", "offset")
ON_LOG = "on_log"
"""Besides ``LABEL_COLUMNS``: whether it is the one on the user's log."""
FOUND = pa.schema(
    [
        ("is_fraud", pa.bool_()),
        ("label_time", pa.int64()),
        ("label_source", pa.string()),
        ("labels", pa.int32()),
        ("reversed", pa.bool_()),
        ("first_label_time", pa.int64()),
        ("first_fraud_time", pa.int64()),
        ("first_fraud_source", pa.string()),
    ]
)
"""What is known of a labelled transaction. Times in ms; ``is_fraud``, ``label_time`` and ``label_source`` are of the label that counts,
``labels`` is how many it has had, ``reversed`` whether the one that counts takes an earlier fraud back, ``first_fraud_…`` the first label
that said fraud (null without one)."""

_CONTENT = (*KEY, "label_time", "is_fraud", "source")
# Where a label stands in the log among those of one transaction. Copies lie in their user's partition, in order; what isn't copied yet will
# come after them, in the order in which it came in.
_PLACE = ("log_place", "arrival", "partition", "offset")


def labelled(labels: pa.Table, as_of: int) -> pa.Table:
    """Of each transaction that has a label by ``as_of`` (ms), its key and ``FOUND``; ``labels`` has ``LABEL_COLUMNS`` and ``ON_LOG``.

    The newest by label time counts; of equally new ones, the later in the log.
    """
    labels = labels.filter(pc.less_equal(labels["label_time"], as_of))
    labels = labels.append_column("log_place", pc.if_else(labels[ON_LOG], 0, 1))
    labels = labels.append_column("arrival", pc.if_else(labels[ON_LOG], pa.scalar(0, pa.int64()), labels["timestamp"]))
    # Of a label that was copied the copies say where it stands, the last one if there are several.
    copies_last = [("log_place", "descending"), *((name, "ascending") for name in _PLACE[1:])]
    distinct = last(labels.sort_by(copies_last), _CONTENT)
    ordered = distinct.sort_by([(name, "ascending") for name in ("label_time", *_PLACE)])
    counts = last(ordered).select([*KEY, "is_fraud", "label_time", "source"]).rename_columns([*KEY, *FOUND.names[:3]])
    of_each = ordered.group_by(list(KEY)).aggregate([("label_time", "count"), ("label_time", "min"), ("is_fraud", "max")])
    of_each = of_each.select([*KEY, "label_time_count", "label_time_min", "is_fraud_max"])
    of_each = of_each.rename_columns([*KEY, "labels", "first_label_time", "ever_fraud"])
    frauds = ordered.filter(ordered["is_fraud"]).sort_by([(name, "descending") for name in ("label_time", *_PLACE)])
    first = last(frauds).select([*KEY, "label_time", "source"]).rename_columns([*KEY, *FOUND.names[-2:]])
    found = counts.join(of_each, list(KEY)).join(first, list(KEY), join_type="left outer")
    found = found.append_column("reversed", pc.and_not(found["ever_fraud"], found["is_fraud"]))
    return found.select([*KEY, *FOUND.names]).cast(pa.schema([*(found.schema.field(name) for name in KEY), *FOUND]))
