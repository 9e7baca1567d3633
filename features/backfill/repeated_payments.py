"""Each user's latest payments as if they were made again now: their vectors, from what is known of user and merchant at one moment.

As in a backfill users come first, then merchants, each stage over the records of some keys in the order of the replay.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from features.arrays import Float32
from features.backfill.stages import WITH_USERS, MerchantStage, UserStage, devices_of, known_dtype, packed, slots_of, unpacked
from features.definitions import DAY, FeatureSet
from features.vector import assemble

_ROWS_AT_ONCE = 1 << 16


class RepeatingUserStage:
    """The users' stage: applies their records, then makes their payments again.

    Those of the last ``lookback`` ms before ``moment`` (ms) are made again, or the last one of a user who has none in that time.
    """

    def __init__(self, feature_set: FeatureSet, moment: int, lookback: int) -> None:
        self._feature_set = feature_set
        self._moment = moment
        self._since = moment - lookback
        self._stage = UserStage(feature_set, None, np.empty(0, np.int64))
        self._recent: list[pa.Table] = []
        self._last = pa.table({name: pa.array([], kind) for name, kind in _PAYMENT.items()})

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Applies RECORDS, all before the moment, in order; returns WITH_USERS for the merchants."""
        with_users = self._stage.apply(batch)
        payments = pa.table(batch.filter(batch["is_transaction"]).select(list(_BATCH_COLUMNS)))
        slots = slots_of(self._stage.users, payments["user_id"].combine_chunks())
        payments = payments.append_column("slot", pa.array(slots)).select(list(_PAYMENT))
        recent = payments["event_time"].to_numpy() >= self._since
        self._recent.append(payments.filter(pa.array(recent)))
        self._last = _last_of_each(pa.concat_tables([self._last, payments.filter(pa.array(~recent))]))
        return with_users

    def again(self) -> Iterator[pa.RecordBatch]:
        """The payments made again, in the columns of WITH_USERS, once all records are applied: ``time`` is the moment, so that they come
        after all records, ``event_time`` (ms) when it would be made again, ``seq`` (ms) when it was made."""
        recent = pa.concat_tables([self._last.slice(0, 0), *self._recent])
        rest = ~np.isin(self._last["slot"].to_numpy(), recent["slot"].to_numpy())
        payments = pa.concat_tables([recent, self._last.filter(pa.array(rest))]).combine_chunks()
        for begin in range(0, len(payments), _ROWS_AT_ONCE):
            yield self._again(payments.slice(begin, _ROWS_AT_ONCE).combine_chunks())

    def _again(self, payments: pa.Table) -> pa.RecordBatch:
        made, amount = payments["event_time"].to_numpy(), payments["amount"].to_numpy()
        # At its own time of day, on the day that begins with the moment.
        time = self._moment + (made - self._moment) % DAY
        device = devices_of(self._feature_set, payments["device_id"].combine_chunks())
        known = np.zeros(len(payments), known_dtype(self._feature_set))
        known["features"] = self._stage.users.observe(payments["slot"].to_numpy(), time, amount, device)
        every = np.ones(len(payments), np.bool_)
        columns = {name: payments[name].combine_chunks() for name in ("transaction_id", "user_id", "merchant_id", "amount")}
        columns |= {
            "time": pa.array(np.full(len(payments), self._moment)),
            "is_transaction": pa.array(every),
            "seq": pa.array(made),
            "event_time": pa.array(time),
            "fraud": pa.array(np.zeros(len(payments), np.int8)),
            "of_user": packed(every, known),
        }
        none = {field.name: pa.nulls(len(payments), field.type) for field in WITH_USERS}
        return pa.RecordBatch.from_pydict({**none, **columns}, schema=WITH_USERS)


class RepeatingMerchantStage:
    """The merchants' stage: applies their records, then finishes the vectors of payments made again."""

    def __init__(self, feature_set: FeatureSet, moment: int) -> None:
        self._feature_set = feature_set
        self._moment = moment
        self._stage = MerchantStage(feature_set)

    def apply(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, Float32]:
        """Applies WITH_USERS in order, those made again after all records; returns these and their vectors (float32, n × names)."""
        records = int(np.searchsorted(batch["time"].to_numpy(), self._moment))
        if records:
            self._stage.apply(batch.slice(0, records))
        again = batch.slice(records)
        time, amount = again["event_time"].to_numpy(), again["amount"].to_numpy()
        known = unpacked(again["of_user"], known_dtype(self._feature_set))
        merchants = self._stage.merchants
        nothing = np.zeros(len(again), np.int64)
        features = merchants.observe(slots_of(merchants, again["merchant_id"]), time, amount, nothing)
        return again, assemble(self._feature_set, time, amount, known["features"], features)


_BATCH_COLUMNS = {
    "user_id": pa.string(),
    "transaction_id": pa.string(),
    "merchant_id": pa.string(),
    "device_id": pa.string(),
    "event_time": pa.int64(),
    "amount": pa.int64(),
}
_PAYMENT = {**_BATCH_COLUMNS, "slot": pa.int64()}


def _last_of_each(payments: pa.Table) -> pa.Table:
    """The last row of each slot."""
    slots = payments["slot"].to_numpy()
    _, from_end = np.unique(slots[::-1], return_index=True)
    return payments.take(pa.array(len(slots) - 1 - from_end))
