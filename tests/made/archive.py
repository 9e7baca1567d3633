"""An archive of transactions as ``tidemark archive`` leaves it, made from a canonical table without a broker."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.arrays import RecordKind
from features.definitions import DAY
from features.history.log_order import replay_order
from features.offline.parquet_tables import OfflineTable, write_file
from features.offline.storage import Storage

SCHEMA = pa.schema(
    [
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("seq", pa.int64()),
        *(pa.field(name, pa.string()) for name in ("transaction_id", "user_id", "merchant_id", "device_id")),
        *(pa.field(name, pa.int64()) for name in ("event_time", "amount", "label_time")),
        pa.field("is_fraud", pa.bool_()),
    ]
)
"""The columns that a backfill reads."""
_PARTITIONS = 4


def records(table: pa.Table) -> pa.Table:
    """The log of a canonical table, as one replay of it writes it, over some partitions."""
    time, known = table["event_time"].to_numpy(), table["label_time"].is_valid().to_numpy()
    kind, row = replay_order(time, table["label_time"].cast(pa.int64()).fill_null(0).to_numpy(), known)
    is_transaction = kind == RecordKind.TRANSACTION
    log = table.take(pa.array(row))
    partition = log["user_id"].combine_chunks().dictionary_encode().indices.to_numpy() % _PARTITIONS
    offset = np.empty(len(row), np.int64)
    for number in range(_PARTITIONS):
        here = partition == number
        offset[here] = np.arange(here.sum())
    mask = pa.array(is_transaction)
    columns: dict[str, Any] = {name: log[name] for name in ("transaction_id", "user_id", "merchant_id", "event_time")}
    columns |= {name: pc.if_else(mask, log[name], None) for name in ("device_id", "amount")}
    columns |= {name: pc.if_else(mask, None, log[name]) for name in ("label_time", "is_fraud")}
    columns["kind"] = pc.if_else(mask, "transaction", "label")
    columns |= {"partition": partition, "offset": offset, "seq": np.arange(len(row))}
    return pa.table({field.name: columns[field.name] for field in SCHEMA}, schema=SCHEMA)


def archive(store: Storage, log: pa.Table) -> OfflineTable:
    """Adds the records to the store's archive, by days of event time."""
    table = OfflineTable(store, "transactions", SCHEMA)
    number = (table.committed("archive") if table.exists() else None) or 0
    day = log["event_time"].to_numpy() // DAY
    order = np.argsort(day, kind="stable")
    files = []
    for of_day in np.split(order, np.flatnonzero(np.diff(day[order])) + 1):
        date = datetime.fromtimestamp(int(day[of_day[0]]) * DAY // 1000, UTC).date()
        # In no order, as it comes from several partitions.
        files.append(write_file(table.storage, date, f"a-{number}", log.take(pa.array(of_day[::-1].copy()))))
    if not table.commit(files, "archive", number + 1):
        raise RuntimeError("somebody else writes to the archive that is being made")
    return table
