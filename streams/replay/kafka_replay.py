"""Replays a history onto ``transactions``: its labels in place among its transactions, in order, at full speed or paced.

A record is keyed by its user and carries the headers ``tidemark-seq`` (its place in the replay, decimal), ``tidemark-label`` if it is one,
and where a rate is given ``tidemark-sent-at`` (ms UTC, decimal): when it was due, whenever it was really sent. An aligned replay's carry
``tidemark-replay``, its name and the place, instead of the first, and a record on each partition says where it ends
(``streams/replay/aligned/merge.py``).
"""

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from features.arrays import Float64, RecordKind
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients, KafkaError, KafkaException, Message, Producer
from streams.messages.headers import SENT_AT, SEQ, Mark, MarkKind, label_header, mark_header
from streams.messages.partitioner import PRODUCER_SETTING, partition_of
from streams.messages.seal import Seal
from streams.messages.topics import TRANSACTIONS
from streams.replay.encode import encode_labels, encode_transactions
from streams.replay.pacing import MAX_RATE, Rate, due_ms
from streams.replay.plan import ReplayPlan

Headers = list[tuple[str, str | bytes | None]]

# Encoded at once: few enough (some 5 ms) not to delay paced records that fall due meanwhile.
_BLOCK = 8_192
_POLL_EVERY = 1_024
_LONGEST_NAP_S = 0.05
# Paced records aren't due before the producer had time to connect.
_LEAD_S = 0.25
_LINGER_MS, _LINGER_PACED_MS = 20, 5
_SETTINGS = {
    "enable.idempotence": True,
    "compression.type": "lz4",
    "batch.size": 1_000_000,
    "batch.num.messages": 20_000,
    "queue.buffering.max.messages": 200_000,
    "queue.buffering.max.kbytes": 262_144,
    "message.timeout.ms": 120_000,
    **PRODUCER_SETTING,
}


@dataclass(frozen=True)
class ReplaySummary:
    """What a replay did. Counts are of records that the broker acknowledged; ``failed`` ones it did not, ``unsent`` were never handed over.

    ``rate`` is acknowledged records a second over ``seconds``; the event times (int ms UTC) are those of the transactions planned.
    """

    transactions: int
    labels: int
    failed: int
    unsent: int
    seconds: float
    rate: float
    first_event_time: int | None
    last_event_time: int | None
    first_failure: str | None

    @property
    def complete(self) -> bool:
        """Whether every record planned was acknowledged."""
        return self.failed == self.unsent == 0


@dataclass(frozen=True)
class Aligned:
    """An aligned replay by its name, how many records the whole of it has, and the partitions that don't hold its end yet."""

    replay: str
    records: int
    partitions: Collection[int]


@dataclass
class _Deliveries:
    """Counts delivery reports, one a record."""

    transactions: int = 0
    labels: int = 0
    failed: int = 0
    first_failure: str | None = None

    def transaction(self, error: KafkaError | None, message: Message | None) -> None:
        if error is None:
            self.transactions += 1
        else:
            self._failed(error)

    def label(self, error: KafkaError | None, message: Message | None) -> None:
        if error is None:
            self.labels += 1
        else:
            self._failed(error)

    def end(self, error: KafkaError | None, message: Message | None) -> None:
        if error is not None:
            self._failed(error)

    def _failed(self, error: KafkaError) -> None:
        self.failed += 1
        self.first_failure = self.first_failure or error.str()


@dataclass
class _Clock:
    """When records fall due; without ``due`` (ms after the start) they all are at once."""

    due: Float64 | None
    start: float = field(init=False)
    start_ms: float = field(init=False)

    def __post_init__(self) -> None:
        lead = 0.0 if self.due is None else _LEAD_S
        self.start = time.monotonic() + lead
        self.start_ms = (time.time() + lead) * 1000

    def wait(self, index: int, stopped: Callable[[], bool]) -> int | None:
        """Return once record ``index`` is due, or ``stopped``, with the number of records due by then; None if all are."""
        while self.due is not None:
            elapsed = (time.monotonic() - self.start) * 1000
            ready = int(np.searchsorted(self.due, elapsed, side="right"))
            if ready > index or stopped():
                return ready
            # No shorter than a millisecond, or high rates would spin on a core that the readers of the log need.
            time.sleep(min(_LONGEST_NAP_S, max(0.001, (self.due[index] - elapsed) / 1000)))
        return None

    def moment(self, index: int) -> bytes | None:
        """When record ``index`` of the plan is due, ms UTC in decimal; None if at once."""
        return None if self.due is None else b"%d" % (self.start_ms + self.due[index])


@dataclass(frozen=True)
class _Marking:
    """Makes the headers of a replay's records; ``aligned`` names an aligned one."""

    seal: Seal
    aligned: str | None
    partitions: int
    known: dict[bytes, int] = field(default_factory=dict)

    def _partition(self, key: bytes) -> int:
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = partition_of(key, self.partitions)
        return found

    def headers(self, key: bytes, value: bytes, seq: int, is_label: bool, due: bytes | None) -> Headers:
        """Those of the record whose place in the replay is ``seq``."""
        if self.aligned is None:
            headers: Headers = [(SEQ, b"%d" % seq)]
        else:
            headers = [mark_header(self.seal, Mark(self.aligned, seq), self._partition(key), key, value)]
        if is_label:
            headers.append(label_header(self.seal, key, value))
        if due is not None:
            headers.append((SENT_AT, due))
        return headers


@dataclass(frozen=True)
class _Block:
    """Consecutive records of a plan, encoded: the index of the first, and each one's place, key, value and whether it is a label."""

    begin: int
    seq: list[int]
    keys: list[bytes]
    values: list[bytes]
    is_label: list[bool]


def replay(
    table: pa.Table,
    plan: ReplayPlan,
    kafka: KafkaClients,
    seal: Seal,
    rate: Rate = MAX_RATE,
    advance: Callable[[int], None] = lambda records: None,
    stopped: Callable[[], bool] = lambda: False,
    aligned: Aligned | None = None,
) -> ReplaySummary:
    """Send the records of ``plan``, rows of the canonical ``table``, and wait until each is acknowledged or given up.

    ``advance`` gets how many more records were handed over; when ``stopped`` turns true nothing more is, and what was is still flushed.
    After the first failed delivery nothing more is sent either, for the order would be broken. ``seal`` makes labels count, and the marks
    of an ``aligned`` replay, whose records say that they are its; once all are acknowledged a record on each partition marks its end.
    Raises UserError, before anything is sent, if the broker can't be reached or lacks the topic.
    """
    partitions = partition_count(kafka, TRANSACTIONS.name)
    due = due_ms(rate, plan.time)
    linger = _LINGER_MS if due is None else _LINGER_PACED_MS
    producer = kafka.producer({**_SETTINGS, "linger.ms": linger})
    deliveries = _Deliveries()

    def over() -> bool:
        producer.poll(0)
        return stopped() or deliveries.failed > 0

    blocks = _blocks(table.combine_chunks(), plan)
    clock, marking = _Clock(due), _Marking(seal, None if aligned is None else aligned.replay, partitions)
    handed_over = _send(producer, deliveries, blocks, clock, marking, advance, over)
    while producer.flush(1.0):
        pass
    if aligned is not None and handed_over == len(plan) and not deliveries.failed:
        for partition in aligned.partitions:
            end = mark_header(seal, Mark(aligned.replay, aligned.records, MarkKind.END), partition)
            producer.produce(TRANSACTIONS.name, None, None, partition, headers=[end], on_delivery=deliveries.end)
        while producer.flush(1.0):
            pass
    seconds = max(time.monotonic() - clock.start, 1e-3)
    event_time = plan.time[plan.kind == RecordKind.TRANSACTION]
    return ReplaySummary(
        transactions=deliveries.transactions,
        labels=deliveries.labels,
        failed=deliveries.failed,
        unsent=len(plan) - handed_over,
        seconds=round(seconds, 3),
        rate=round((deliveries.transactions + deliveries.labels) / seconds, 1),
        first_event_time=int(event_time[0]) if len(event_time) else None,
        last_event_time=int(event_time[-1]) if len(event_time) else None,
        first_failure=deliveries.first_failure,
    )


def _blocks(table: pa.Table, plan: ReplayPlan) -> Iterator[_Block]:
    for begin in range(0, len(plan), _BLOCK):
        is_label = plan.kind[begin : begin + _BLOCK] == RecordKind.LABEL
        rows = plan.row[begin : begin + _BLOCK]
        values = np.empty(len(rows), dtype=object)
        for of_kind, encode in ((~is_label, encode_transactions), (is_label, encode_labels)):
            values[of_kind] = encode(table.take(rows[of_kind]))
        keys = table["user_id"].take(rows).cast(pa.binary()).to_pylist()
        yield _Block(begin, plan.seq[begin : begin + _BLOCK].tolist(), keys, values.tolist(), is_label.tolist())


def _send(
    producer: Producer,
    deliveries: _Deliveries,
    blocks: Iterator[_Block],
    clock: _Clock,
    marking: _Marking,
    advance: Callable[[int], None],
    stopped: Callable[[], bool],
) -> int:
    """Hand records over as they fall due, until all are or ``stopped``; returns how many were."""
    sent = 0
    for block in blocks:
        end = block.begin + len(block.keys)
        while sent < end:
            ready = clock.wait(sent, stopped)
            until = min(end, sent + _POLL_EVERY, end if ready is None else ready)
            if stopped():
                return sent
            for index in range(sent - block.begin, until - block.begin):
                is_label = block.is_label[index]
                report = deliveries.label if is_label else deliveries.transaction
                key, value = block.keys[index], block.values[index]
                headers = marking.headers(key, value, block.seq[index], is_label, clock.moment(block.begin + index))
                if not _hand_over(producer, key, value, headers, report):
                    return block.begin + index + 1
            advance(until - sent)
            sent = until
    return sent


def _hand_over(
    producer: Producer,
    key: bytes,
    value: bytes,
    headers: Headers,
    report: Callable[[KafkaError | None, Message | None], None],
) -> bool:
    """Give one record to the producer, waiting while its queue is full; an error it meets at once is reported like a failed delivery."""
    while True:
        try:
            producer.produce(TRANSACTIONS.name, value, key, headers=headers, on_delivery=report)
        except BufferError:
            producer.poll(0.05)
        except KafkaException as error:
            report(error.args[0], None)
            return False
        else:
            return True
