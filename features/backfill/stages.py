"""The two stages of a backfill, each over the records of some keys in the order of the replay, a batch at a time.

Users first: their features and what their labels add travel on with each record to its merchant, as from INGEST to SCORE in the stream.
What a stage holds is the state of its keys and one batch, however many records a key has.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.arrays import Int8, Int64, Lateness, RecordKind
from features.backfill.tables import ComputedTable
from features.definitions import DAY, FeatureSet, Window
from features.labels import LabelBook
from features.state import EntityState
from features.tiles import NEVER
from features.vector import assemble, device_hashes

# By these columns records are in the order of the replay: time (event_time, of a label its label_time), labels first, then the place in the
# replay if there was one, else in the log.
ORDER = ("time", "is_transaction", "seq", "partition", "offset")

_ORDER_FIELDS = [
    pa.field("time", pa.int64()),
    pa.field("is_transaction", pa.bool_()),
    pa.field("seq", pa.int64()),
    pa.field("partition", pa.int32()),
    pa.field("offset", pa.int64()),
]
_RECORD_FIELDS = [
    *_ORDER_FIELDS,
    pa.field("transaction_id", pa.string()),
    pa.field("user_id", pa.string()),
    pa.field("merchant_id", pa.string()),
    pa.field("event_time", pa.int64()),
    pa.field("amount", pa.int64()),
]
# What the users' stage reads; a transaction at most once.
RECORDS = pa.schema([*_RECORD_FIELDS, pa.field("device_id", pa.string()), pa.field("is_fraud", pa.bool_())])
# What it hands on: ``of_user`` holds a record of ``known_dtype``, or nothing where nobody asks for the transaction's vector.
WITH_USERS = pa.schema([*_RECORD_FIELDS, pa.field("fraud", pa.int8()), pa.field("of_user", pa.binary())])


def known_dtype(feature_set: FeatureSet) -> np.dtype[np.void]:
    """What is known of a transaction's user: ``sums`` after it, ``features`` before it."""
    return np.dtype([("sums", np.int64, 4), ("features", np.float32, len(feature_set.of("user")))])


class UserStage:
    """Users and their labels.

    ``days`` (days since 1970, int64) are those of which anything is asked; there are sums only if there is a ``window``. ``users`` is what
    is known of them by now.
    """

    def __init__(self, feature_set: FeatureSet, window: Window | None, days: Int64) -> None:
        self._feature_set = feature_set
        self._window = window
        self._days = days
        self.users = EntityState(feature_set, "user", capacity=16384)
        self._book = LabelBook()

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Applies RECORDS in order; returns WITH_USERS, without labels that add nothing."""
        batch, fraud = self._with_placed_labels(batch)
        kind, time, amount = _columns(batch)
        rows = (kind, slots_of(self.users, batch["user_id"]), time, amount, fraud, devices_of(self._feature_set, batch["device_id"]))
        if self._window is None:
            features, lateness = self.users.apply(*rows)
            sums = np.zeros((len(kind), 4), np.int64)
        else:
            features, lateness, sums = self.users.apply_summing(self._window, *rows)
        # A label too late for its user counts nowhere.
        fraud[lateness == Lateness.TOO_LATE] = 0
        asked = (kind == RecordKind.TRANSACTION) & np.isin(time // DAY, self._days)
        known = np.empty(int(asked.sum()), known_dtype(self._feature_set))
        known["sums"], known["features"] = sums[asked], features[asked]
        mask = pa.array(asked)
        columns = {name: batch[name] for name in WITH_USERS.names if name in batch.schema.names}
        # Who isn't asked for needs no name any more.
        columns |= {name: pc.if_else(mask, batch[name], None) for name in ("transaction_id", "user_id")}
        columns |= {"fraud": pa.array(fraud.astype(np.int8)), "of_user": packed(asked, known)}
        with_users = pa.RecordBatch.from_pydict(columns, schema=WITH_USERS)
        return with_users.filter(pa.array((kind == RecordKind.TRANSACTION) | (fraud != 0)))

    def _with_placed_labels(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, Int64]:
        """The batch with each label where its transaction's labels act, and what each row adds to the frauds of its tile."""
        kind, time, _ = _columns(batch)
        fraud = np.zeros(len(kind), np.int64)
        rows = np.flatnonzero(kind == RecordKind.LABEL)
        if not len(rows):
            return batch, fraud
        newest = np.maximum.accumulate(np.where(kind == RecordKind.TRANSACTION, time, NEVER))
        labels = batch.take(pa.array(rows))
        floors = [self.users.floor_by(time) for time in newest[rows].tolist()]
        names = ("user_id", "transaction_id", "event_time", "merchant_id", "time", "is_fraud")
        placed = list(map(self._book.take, *(labels[name].to_pylist() for name in names), floors))
        fraud[rows] = [effect.fraud for effect in placed]
        is_label = pa.array(kind == RecordKind.LABEL)
        for name in ("event_time", "merchant_id"):
            column = batch[name]
            acting = pc.replace_with_mask(column, is_label, pa.array([getattr(effect, name) for effect in placed], column.type))
            batch = batch.set_column(batch.schema.get_field_index(name), batch.schema.field(name), acting)
        return batch, fraud


class MerchantStage:
    """Merchants, and the vectors of the transactions that are asked for. ``merchants`` is what is known of them by now."""

    def __init__(self, feature_set: FeatureSet) -> None:
        self._feature_set = feature_set
        self.merchants = EntityState(feature_set, "merchant", capacity=16384)

    def apply(self, batch: pa.RecordBatch) -> ComputedTable:
        """Applies WITH_USERS in order; returns the transactions that are asked for, in order."""
        kind, time, amount = _columns(batch)
        fraud, nothing = batch["fraud"].to_numpy().astype(np.int64), np.zeros(len(kind), np.int64)
        features, _ = self.merchants.apply(kind, slots_of(self.merchants, batch["merchant_id"]), time, amount, fraud, nothing)
        mask = pc.greater(pc.binary_length(batch["of_user"]), 0)
        asked = mask.to_numpy(zero_copy_only=False)
        found = batch.filter(mask)
        known = unpacked(found["of_user"], known_dtype(self._feature_set))
        vectors = assemble(self._feature_set, time[asked], amount[asked], known["features"], features[asked])
        return ComputedTable(found["transaction_id"], found["user_id"], found["merchant_id"], time[asked], vectors, known["sums"])


def _columns(batch: pa.RecordBatch) -> tuple[Int8, Int64, Int64]:
    """Kinds, event times (ms) and amounts (minor units; 0 of labels)."""
    is_transaction = batch["is_transaction"].to_numpy(zero_copy_only=False)
    kind = np.where(is_transaction, RecordKind.TRANSACTION, RecordKind.LABEL).astype(np.int8)
    return kind, batch["event_time"].to_numpy(), batch["amount"].fill_null(0).to_numpy()


def slots_of(state: EntityState, keys: pa.Array) -> Int64:
    """The slots of the keys, new ones being given one."""
    encoded = keys.dictionary_encode()
    return np.asarray(state.slots(encoded.dictionary.to_pylist())[encoded.indices.to_numpy()])


def devices_of(feature_set: FeatureSet, devices: pa.Array) -> Int64:
    """The devices' hashes; 0 where there is none or the feature set doesn't look at them."""
    if not feature_set.devices or devices.null_count == len(devices):
        return np.zeros(len(devices), np.int64)
    encoded = devices.dictionary_encode()
    hashes = np.append(device_hashes(encoded.dictionary.to_pylist()), 0)
    return np.asarray(hashes[encoded.indices.fill_null(len(hashes) - 1).to_numpy()])


def packed(where: npt.NDArray[np.bool_], records: npt.NDArray[np.void]) -> pa.Array:
    """The records' bytes in the rows ``where`` there is one, nothing in the others."""
    ends = (np.concatenate([[0], np.cumsum(where)]) * records.dtype.itemsize).astype(np.int32)
    return pa.Array.from_buffers(pa.binary(), len(where), [None, pa.py_buffer(ends), pa.py_buffer(records)])


def unpacked(values: pa.Array, dtype: np.dtype[np.void]) -> npt.NDArray[np.void]:
    """The records whose bytes these are."""
    if not len(values):
        return np.empty(0, dtype)
    _, ends, content = values.buffers()
    return np.frombuffer(content, dtype, len(values), int(np.frombuffer(ends, np.int32)[values.offset]))
