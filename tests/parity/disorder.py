"""A history as a careless world sends it: in disorder, and some of it twice."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from confluent_kafka import Producer

from features.arrays import RecordKind
from features.definitions import MINUTE
from streams.messages.headers import label_header
from streams.messages.partitioner import PRODUCER_SETTING
from streams.messages.topics import TRANSACTIONS
from streams.replay.encode import encode_labels, encode_transactions
from streams.replay.plan import ReplayPlan, plan_replay
from tests.made.seal import SEAL

_BLOCK = 20_000


@dataclass(frozen=True)
class Disorder:
    """Of the transactions, which shares (0–1) arrive late and twice, and by how much at most (ms of event time)."""

    late: float = 0.3
    latest: int = 10 * MINUTE
    twice: float = 0.05
    again_within: int = 30 * MINUTE


def disordered(table: pa.Table, disorder: Disorder, seed: int) -> ReplayPlan:
    """The plan of a replay in which transactions arrive late, and some again; labels stand where they are known."""
    rng = np.random.default_rng(seed)
    plan = plan_replay(table)
    arrival = plan.time.copy()
    is_transaction = plan.kind != RecordKind.LABEL
    late = is_transaction & (rng.random(len(plan)) < disorder.late)
    arrival[late] += rng.integers(0, disorder.latest, late.sum())
    again = np.flatnonzero(is_transaction & (rng.random(len(plan)) < disorder.twice))
    arrivals = np.concatenate([arrival, arrival[again] + rng.integers(0, disorder.again_within, len(again))])
    which = np.concatenate([np.arange(len(plan)), again])[np.argsort(arrivals, kind="stable")]
    return ReplayPlan(plan.kind[which], plan.row[which], plan.time[which], plan.seq[which])


def send(table: pa.Table, plan: ReplayPlan, kafka: str) -> Iterator[int]:
    """Sends the records of a plan at full speed, yielding how many are sent now and then; all are acknowledged at its end."""
    producer = Producer(
        {"bootstrap.servers": kafka, "enable.idempotence": True, "linger.ms": 20, "compression.type": "lz4", **PRODUCER_SETTING}
    )
    failed: list[str] = []
    table = table.combine_chunks()
    for begin in range(0, len(plan), _BLOCK):
        is_label, rows = plan.kind[begin : begin + _BLOCK] == RecordKind.LABEL, plan.row[begin : begin + _BLOCK]
        values = np.empty(len(rows), object)
        for of_kind, encode in ((~is_label, encode_transactions), (is_label, encode_labels)):
            values[of_kind] = encode(table.take(rows[of_kind]))
        keys = table["user_id"].take(rows).cast(pa.binary()).to_pylist()
        for key, value, label in zip(keys, values.tolist(), is_label.tolist(), strict=True):
            while True:
                try:
                    producer.produce(
                        TRANSACTIONS.name,
                        value,
                        key,
                        headers=[label_header(SEAL, key, value)] if label else [],
                        on_delivery=lambda error, _: failed.append(str(error)) if error else None,
                    )
                    break
                except BufferError:
                    producer.poll(0.1)
        producer.poll(0)
        yield begin + len(rows)
    assert producer.flush(120) == 0
    assert not failed, failed[:3]
