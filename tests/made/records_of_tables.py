"""A log as a table, and as the records that INGEST reads."""

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import structs

from features.definitions import DAY
from streams.messages.record import LogRecord
from tests.made.records import label, transaction

START = 1_700_000_000_000


def history(n: int = 60, seed: int = 1, users: int = 4, tick: int = 1) -> list[LogRecord]:
    """A log of one partition in event-time order, its labels among the transactions; times are whole ``tick`` ms."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(START, START + 40 * DAY, n)) // tick * tick
    made = [
        transaction(0, f"u{rng.integers(users)}", f"m{rng.integers(3)}", int(time), int(rng.integers(0, 3_000)), transaction_id=f"t{i}")
        for i, time in enumerate(times)
    ]
    dated = [(int(time), 1, record) for time, record in zip(times, made, strict=True)]
    dated += [
        (int(time) + 7 * DAY, 0, label(0, record, int(time) + 7 * DAY))
        for time, record in zip(times, made, strict=True)
        if rng.random() < 0.3
    ]
    ordered = sorted(dated, key=lambda entry: entry[:2])
    return [structs.replace(record, offset=offset) for offset, (_, _, record) in enumerate(ordered)]


def as_table(records: list[LogRecord]) -> pa.Table:
    """The same history as the canonical table."""
    messages = [msgspec.json.decode(record.value or b"") for record in records]
    labels = {message["transaction_id"]: message["label_time"] for message in messages if "label_time" in message}
    rows = [message for message in messages if "label_time" not in message]
    return pa.table(
        {
            **{name: [row[name] for row in rows] for name in ("transaction_id", "event_time", "user_id", "merchant_id", "amount")},
            "device_id": pa.nulls(len(rows), pa.string()),
            "is_fraud": [row["transaction_id"] in labels for row in rows],
            "label_time": pa.array([labels.get(row["transaction_id"]) for row in rows], pa.int64()),
        }
    )
