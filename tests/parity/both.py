"""One log through the kernel, as the stream drives it, and through the oracle; and what counts as equal."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from features.arrays import Float32, Lateness, RecordKind
from features.definitions import Entity, FeatureSet
from features.labels import LabelBook
from features.oracle import Oracle, OracleWindow
from features.state import EntityState
from features.tiles import NEVER
from features.vector import assemble, device_hashes
from tests.parity.logs import Chargeback, Log, Payment, Record, payments_of
from tests.parity.windows import restated

ENTITIES: tuple[Entity, Entity] = ("user", "merchant")


class Kernel:
    """Users, merchants and labels of one log, applied in batches as INGEST and SCORE do."""

    def __init__(self, feature_set: FeatureSet, capacity: int = 2) -> None:
        self.feature_set = feature_set
        self.states: dict[Entity, EntityState] = {entity: EntityState(feature_set, entity, capacity) for entity in ENTITIES}
        self.labels = LabelBook()
        self.too_late: dict[Entity, int] = dict.fromkeys(ENTITIES, 0)

    def apply(self, batch: Log) -> Float32:
        """Applies the batch; returns the vector of each of its transactions."""
        batch, effects = self._placed(batch)
        kind = np.array([RecordKind.LABEL if isinstance(record, Chargeback) else RecordKind.TRANSACTION for record in batch], np.int8)
        amount = np.array([record.amount if isinstance(record, Payment) else 0 for record in batch], np.int64)
        fraud = np.array(effects, np.int64)
        device = device_hashes([record.device_id if isinstance(record, Payment) else None for record in batch])
        time = _times(batch)
        asked = kind == RecordKind.TRANSACTION
        seen = {}
        for entity, state in self.states.items():
            features, lateness = state.apply(kind, self._slots(entity, batch), time, amount, fraud, device)
            assert np.isnan(features[~asked]).all()
            self.too_late[entity] += int(np.count_nonzero(lateness[asked] == Lateness.TOO_LATE))
            seen[entity] = features[asked]
            if entity == "user":
                fraud = np.where(lateness == Lateness.TOO_LATE, 0, fraud)
        return assemble(self.feature_set, time[asked], amount[asked], seen["user"], seen["merchant"])

    def observe(self, payments: Sequence[Payment]) -> Float32:
        """The vector each of these would see if it came next."""
        time, amount = _times(payments), np.array([payment.amount for payment in payments], np.int64)
        device = device_hashes([payment.device_id for payment in payments])
        seen = {entity: state.observe(self._slots(entity, payments), time, amount, device) for entity, state in self.states.items()}
        return assemble(self.feature_set, time, amount, seen["user"], seen["merchant"])

    def encoded(self) -> dict[tuple[Entity, str], bytes]:
        """Every key's state as bytes."""
        return {
            (entity, key): encoded
            for entity, state in self.states.items()
            for key, encoded in zip(state.keys, state.encode(np.arange(len(state))), strict=True)
        }

    def restored(self, capacity: int = 2) -> "Kernel":
        """Another kernel, its states made from the bytes of this one's."""
        other = Kernel(self.feature_set, capacity)
        for (entity, key), encoded in self.encoded().items():
            other.states[entity].restore([key], [encoded])
        for entity, state in self.states.items():
            other.states[entity].set_clock(state.clock)
        users = self.states["user"]
        for user in users.names:
            other.labels.restore(user, self.labels.encode(user, users.floor_by(), 0))
        return other

    def _placed(self, batch: Log) -> tuple[Log, list[int]]:
        """The batch with its labels where they act, and what each record adds."""
        newest, records, frauds = NEVER, [], []
        for record in batch:
            fraud = 0
            if isinstance(record, Payment):
                newest = max(newest, record.event_time)
            else:
                floor = self.states["user"].floor_by(newest)
                event_time, merchant_id, fraud = self.labels.take(
                    record.user_id, record.transaction_id, record.event_time, record.merchant_id, record.label_time, record.is_fraud, floor
                )
                record = replace(record, event_time=event_time, merchant_id=merchant_id)
            records.append(record)
            frauds.append(fraud)
        return records, frauds

    def _slots(self, entity: Entity, records: Iterable[Record]) -> npt.NDArray[np.int64]:
        return self.states[entity].slots([record.user_id if entity == "user" else record.merchant_id for record in records])


def _times(records: Iterable[Record]) -> npt.NDArray[np.int64]:
    return np.array([record.event_time for record in records], np.int64)


def by_kernel(feature_set: FeatureSet, batches: Iterable[Log]) -> Float32:
    """The vectors of a log's transactions, by the kernel."""
    kernel = Kernel(feature_set)
    return np.concatenate([kernel.apply(batch) for batch in batches])


def by_oracle(feature_set: FeatureSet, log: Log, extra: Mapping[str, OracleWindow] | None = None) -> Float32:
    """The vectors of a log's transactions, by the oracle."""
    oracle = restated(feature_set.devices, extra, [(percent, window.name) for percent, window in feature_set.large])
    rows = []
    for record in log:
        if isinstance(record, Payment):
            rows.append(in_order(feature_set, oracle.observe(record)))
        follow(oracle, record)
    return np.array(rows, np.float32).reshape(-1, len(feature_set.names))


def follow(oracle: Oracle, record: Record) -> None:
    """Applies one record to the oracle."""
    if isinstance(record, Payment):
        oracle.apply_transaction(record)
    else:
        oracle.apply_label(record)


def in_order(feature_set: FeatureSet, features: Mapping[str, float]) -> list[float]:
    """The oracle's features in vector order; both must name the same ones."""
    assert set(features) == set(feature_set.names)
    return [features[name] for name in feature_set.names]


def assert_same_bits(feature_set: FeatureSet, log: Log, kernel: Float32, oracle: Float32) -> None:
    """Every figure equal to the last bit; the message names the first that is not."""
    assert kernel.shape == oracle.shape
    differing = np.argwhere(kernel.view(np.uint32) != oracle.view(np.uint32))
    if len(differing):
        row, column = differing[0]
        raise AssertionError(
            f"{len(differing)} figures differ; the first is {feature_set.names[column]} of {payments_of(log)[row]}: "
            f"the kernel says {kernel[row, column]!r}, the oracle {oracle[row, column]!r}"
        )
