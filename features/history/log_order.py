"""The order in which a finished history becomes a log: time, then labels before transactions, then the row of the file.

    replay_order(event_time, label_time, has_label) -> (kind, row)

The replay sends records in this order and the history kernel (``features/history/log.py``) applies them in it, so a backtest and an
aligned replay see the same log.
"""

import numpy as np

from features.arrays import Bool, Int8, Int64, RecordKind


def replay_order(event_time: Int64, label_time: Int64, has_label: Bool) -> tuple[Int8, Int64]:
    """Merge the transactions of a table and their labels into one sequence.

    ``event_time`` and ``label_time`` (int64 ms, one entry a row of the table) hold when a transaction happened and when its label became
    known; ``label_time`` is read only where ``has_label`` (bool, same length) is true. Returns ``kind`` (int8, TRANSACTION or LABEL) and
    ``row`` (int64, the row of the table), one entry a record, in the order of the log. A label is its own record and may come before its
    transaction if it is known no later. Raises ValueError when the lengths differ.
    """
    rows = len(event_time)
    if not len(label_time) == len(has_label) == rows:
        raise ValueError(f"event_time has {rows} rows, label_time {len(label_time)}, has_label {len(has_label)}: they must be of one table")
    labelled = np.flatnonzero(has_label).astype(np.int64, copy=False)
    # Labels stand first and each group in file order, so that a stable sort by time alone settles all ties.
    time = np.concatenate([label_time[labelled], event_time])
    row = np.concatenate([labelled, np.arange(rows, dtype=np.int64)])
    order = np.argsort(time, kind="stable")
    kind = np.where(order < len(labelled), RecordKind.LABEL, RecordKind.TRANSACTION).astype(np.int8)
    return kind, row[order]
