"""A log in memory, in the order of the replay, as the users' stage of a backfill takes it: of archived rows, or of a canonical table."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.arrays import RecordKind
from features.backfill.stages import ORDER, RECORDS
from features.history.log_order import replay_order

# What is needed of the archive's rows.
ARCHIVED_SCHEMA = pa.schema(
    [
        pa.field("partition", pa.int32()),
        pa.field("offset", pa.int64()),
        pa.field("kind", pa.string()),
        pa.field("seq", pa.int64()),
        *(pa.field(name, pa.string()) for name in ("transaction_id", "user_id", "merchant_id", "device_id")),
        *(pa.field(name, pa.int64()) for name in ("event_time", "amount", "label_time")),
        pa.field("is_fraud", pa.bool_()),
    ]
)


def of_archive(rows: pa.Table, before: int) -> pa.Table:
    """RECORDS of ARCHIVED rows that were known before that moment (ms); of transactions sent again the first in the log."""
    rows = rows.filter(pc.is_in(rows["kind"], pa.array(["transaction", "label"])))
    is_transaction = pc.equal(rows["kind"], "transaction")
    rows = rows.append_column("is_transaction", is_transaction)
    rows = rows.append_column("time", pc.if_else(is_transaction, rows["event_time"], rows["label_time"]))
    rows = rows.filter(pc.less(rows["time"], before))
    rows = rows.take(pa.array(_counting(rows))).select(RECORDS.names)
    return rows.take(pc.sort_indices(rows, [(name, "ascending") for name in ORDER])).cast(RECORDS)


def of_table(table: pa.Table, before: int) -> pa.Table:
    """RECORDS of a canonical table's transactions, and of labels where it has a ``label_time``, known before that moment (ms)."""
    event_time = table["event_time"].to_numpy()
    label_time = pc.fill_null(table["label_time"].cast(pa.int64()), 0).to_numpy()
    kind, row = replay_order(event_time, label_time, table["label_time"].is_valid().to_numpy())
    time = np.where(kind == RecordKind.LABEL, label_time[row], event_time[row])
    known = slice(0, int(np.searchsorted(time, before)))
    log = table.take(pa.array(row[known]))
    columns = {name: log[name] for name in ("transaction_id", "user_id", "merchant_id", "event_time", "amount", "device_id")}
    columns |= {
        "time": pa.array(time[known]),
        "is_transaction": pa.array(kind[known] != RecordKind.LABEL),
        "seq": pa.array(np.arange(len(log))),
        "is_fraud": pc.fill_null(log["is_fraud"].cast(pa.bool_()), False),
        "partition": pa.array(np.zeros(len(log), np.int32)),
        "offset": pa.array(np.arange(len(log))),
    }
    return pa.table({name: columns[name] for name in RECORDS.names}).cast(RECORDS)


def _counting(rows: pa.Table) -> np.ndarray:
    """The places of all labels and of the first of each user's transactions of one id."""
    places = np.flatnonzero(rows["is_transaction"].to_numpy())
    sent = rows.take(pa.array(places))
    in_log = np.lexsort((sent["offset"].to_numpy(), sent["partition"].to_numpy()))
    user, name = (
        sent[key].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64) for key in ("user_id", "transaction_id")
    )
    identity = (user * (int(name.max(initial=0)) + 1) + name)[in_log]
    _, first = np.unique(identity, return_index=True)
    return np.concatenate([np.flatnonzero(~rows["is_transaction"].to_numpy()), places[in_log[first]]])
