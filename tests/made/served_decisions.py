"""Decisions and labels as the archive has them."""

from collections import defaultdict
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa

from features.definitions import DAY, FEATURE_SETS
from features.offline.parquet_tables import OfflineTable, write_file
from features.offline.storage import Storage
from streams.archive.archived_topics import ARCHIVED
from streams.archive.rows.tables import times

V1 = FEATURE_SETS["fraud_v1"]
T0 = 20_089 * DAY


def decided(transaction: str, day: float, offset: int = 0, verdict: str = "approve", **more: object) -> dict[str, object]:
    """A row of the scoring log with its decision; its vector is full of its day."""
    vector = dict.fromkeys(V1.names, np.float32(day))
    return {
        "transaction_id": transaction,
        "user_id": "u",
        "event_time": T0 + int(day * DAY),
        "amount_minor": 100,
        "features_digest": V1.digest,
        "partition": 0,
        "offset": offset,
        "row": 0,
        "decision": verdict,
        **vector,
        **more,
    }


def label(transaction: str, day: float, label_day: float, is_fraud: bool = True) -> dict[str, object]:
    when = {"event_time": T0 + int(day * DAY), "label_time": T0 + int(label_day * DAY)}
    return {"transaction_id": transaction, "user_id": "u", "is_fraud": is_fraud, **when}


def table(topic: str, rows: list[dict[str, object]]) -> pa.Table:
    schema = ARCHIVED[topic].schema
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)


def archive_served(store: Storage, rows: list[dict[str, object]], labels: list[dict[str, object]], copied: list[dict[str, object]]) -> None:
    """Archives decisions with their vectors, labels of their own topic, and what the users' log holds beside."""
    for topic, content in (("scoring-log", rows), ("labels", labels), ("decisions", rows), ("transactions", copied)):
        written = table(topic, content)
        at = written.schema.get_field_index("event_timestamp")
        written = written.set_column(at, written.schema.field(at), times([T0] * len(content)))
        offline = OfflineTable(store, topic, ARCHIVED[topic].schema)
        file = write_file(offline.storage, datetime.fromtimestamp(T0 / 1000, UTC).date(), "a-0", written)
        assert offline.commit([file], "archive", 1)


def archive_more(store: Storage, number: int, **content: list[dict[str, object]]) -> None:
    """Archives these rows of each table (scoring_log, labels, decisions, transactions) in a commit of that ``number``, by day."""
    for name, rows in content.items():
        topic = name.replace("_", "-")
        offline = OfflineTable(store, topic, ARCHIVED[topic].schema)
        by_day: dict[date, list[dict[str, object]]] = defaultdict(list)
        for row in rows:
            by_day[datetime.fromtimestamp(int(str(row["event_time"])) / 1000, UTC).date()].append(row)
        files = []
        for day, of_day in sorted(by_day.items()):
            written = table(topic, of_day)
            at = written.schema.get_field_index("event_timestamp")
            moments = times([int(str(row["event_time"])) for row in of_day])
            files.append(write_file(offline.storage, day, f"{number:06d}", written.set_column(at, written.schema.field(at), moments)))
        assert offline.commit(files, "archive", number)
