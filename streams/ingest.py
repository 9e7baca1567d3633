"""INGEST: a user's records and what is known of the user → batches for the merchants' partitions.

A pure function of its source partitions: it may send things twice (after a restart), never differently.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.arrays import Bool, Float32, Int64, Lateness, RecordKind
from features.state import count_lateness
from features.tiles import NEVER
from features.vector import device_hashes
from features.windows import SEEN
from streams.messages import arrivals, batches
from streams.messages.events import Label, Transaction
from streams.messages.record import Record, SourcePosition
from streams.messages.refusals import RefusedError
from streams.state.duplicates import Sighting
from streams.state.users import IngestState

_NOWHERE = -1


@dataclass(frozen=True)
class Routed:
    """One record for ``transactions.by-merchant``."""

    partition: int
    value: bytes
    headers: list[tuple[str, bytes]]


@dataclass
class Part:
    """The records of one source partition, a row each, numbered from 0.

    ``timestamp`` (int64, ms) and ``kind`` (int8) of each row; ``fraud`` (int64), what a label adds; ``payload``, a refused record's dead
    letter or the answer that the API gave; ``target`` (int64), the merchant partition that gets the row, _NOWHERE if none does. ``events``
    are the accepted rows' alone, a label as if it were its transaction, and ``rows`` their numbers, rising; ``labels`` are the labels by
    row.
    """

    state: IngestState
    records: Sequence[Record]
    timestamp: Int64
    kind: np.ndarray
    fraud: np.ndarray
    payload: list[bytes | None]
    target: np.ndarray
    events: list[Transaction]
    rows: list[int]
    labels: dict[int, Label]

    @classmethod
    def of(cls, state: IngestState, records: Sequence[Record]) -> "Part":
        """Records of which nothing is known yet."""
        n, timestamp = len(records), np.array([record.timestamp for record in records], np.int64)
        return cls(
            state, records, timestamp, np.zeros(n, np.int8), np.zeros(n, np.int64), [None] * n, np.full(n, _NOWHERE, np.int64), [], [], {}
        )

    def accepted(self) -> Bool:
        """Whether each row is accepted."""
        accepted = np.zeros(len(self.records), np.bool_)
        accepted[self.rows] = True
        return accepted


def ingest(
    turn: Sequence[tuple[IngestState, Sequence[Record]]], counts: Counter[str], order: Sequence[Int64] | None = None
) -> list[Routed]:
    """Applies records of some source partitions, in order, to each one's state; returns what to send on, in order.

    Every record becomes one row: a transaction with its user's features as of before it, a label with what it adds, or a refused
    record with its dead letter. A transaction sent before becomes none, unless its content differs: that is refused; nor does the end of a
    replay. ``counts`` gains late, too_late, labels, duplicates, answers_overruled (duplicates to which the API had given an answer of its
    own), ignored.headers (records with a reserved name without a seal that holds) and refused.<reason>.

    Rows are sent on partition after partition, or by ``order`` if given: each record's place (int64, never falling in a partition) among
    those of all.
    """
    parts, features = [], []
    for state, records in turn:
        part = read(state, records, counts)
        refuse_repeated(part, counts)
        place_labels(part)
        features.append(apply(part, counts))
        parts.append(part)
    return _route(parts, np.concatenate(features), None if order is None else np.argsort(np.concatenate(order), kind="stable"))


def reapply(state: IngestState, records: Sequence[Record]) -> None:
    """Brings a state on without sending anything."""
    ingest([(state, records)], Counter())


def read(state: IngestState, records: Sequence[Record], counts: Counter[str]) -> Part:
    """The records for what they are: transactions, labels or refused."""
    part, validator = Part.of(state, records), state.validator
    accept, note = part.events.append, part.rows.append
    for row, record in enumerate(records):
        origin = None
        try:
            if state.failed and (validator.partition, record.offset) in state.failed:
                raise RefusedError("processing_failed", "INGEST failed on this record three times; see its log for why")
            if not record.headers:
                accept(validator.transaction(record))
                note(row)
                continue
            envelope = validator.opened(record)
            if envelope.ignored:
                counts["ignored.headers"] += 1
            if envelope.ends:
                continue
            if envelope.is_label:
                origin = envelope.origin
                accept(_read_label(part, record, row))
                counts["labels"] += 1
            else:
                accept(validator.transaction(record))
                part.payload[row] = envelope.answer
            note(row)
        except RefusedError as refused:
            _refuse(part, row, refused, counts, origin)
    return part


def _read_label(part: Part, record: Record, row: int) -> Transaction:
    """Notes the label; returns it as if it were its transaction, without amount."""
    validator = part.state.validator
    part.labels[row] = label = validator.label(record)
    part.kind[row] = RecordKind.LABEL
    return Transaction(label.transaction_id, label.event_time, label.user_id, label.merchant_id, 0, validator.currency)


def _refuse(part: Part, row: int, refused: RefusedError, counts: Counter[str], origin: SourcePosition | None = None) -> None:
    part.kind[row] = RecordKind.REFUSED
    part.payload[row] = part.state.validator.dead_letter(part.records[row], refused, origin)
    counts[f"refused.{refused.reason}"] += 1


def refuse_repeated(part: Part, counts: Counter[str]) -> None:
    """Takes out of the accepted the transactions that were taken before; those whose content differs are refused."""
    rows = np.array(part.rows, np.int64)
    transactions = np.flatnonzero(part.kind[rows] == RecordKind.TRANSACTION)
    asked = transactions.tolist()
    found = part.state.taken.take([part.events[i] for i in asked], part.timestamp[rows[transactions]].tolist())
    if not found:
        return
    for place, sighting in found:
        event, row = part.events[asked[place]], part.rows[asked[place]]
        answer, part.payload[row] = part.payload[row], None
        if sighting is Sighting.DUPLICATE:
            counts["duplicates"] += 1
            counts["answers_overruled"] += answer is not None
        else:
            _refuse(part, row, _conflict(event), counts)
    gone = {asked[place] for place, _ in found}
    part.events = [event for i, event in enumerate(part.events) if i not in gone]
    part.rows = [row for i, row in enumerate(part.rows) if i not in gone]


def _conflict(event: Transaction) -> RefusedError:
    return RefusedError(
        "conflict",
        f"transaction {event.transaction_id!r} of user {event.user_id!r} was taken before with other content; "
        "a transaction can't be changed, send another under an id of its own",
    )


def place_labels(part: Part) -> None:
    """Has each label stand where its transaction's labels act, with what it adds there; see ``LabelBook``."""
    if not part.labels:
        return
    state, events = part.state, part.events
    places = np.flatnonzero(part.kind[part.rows] == RecordKind.LABEL)
    newest = np.fromiter([event.event_time for event in events], np.int64, len(events))
    newest[places] = NEVER
    newest = np.maximum.accumulate(newest)
    for place in places.tolist():
        row, event = part.rows[place], events[place]
        label, offset = part.labels[row], part.records[row].offset
        if state.ahead and state.has_applied(label.user_id, offset):
            # By now the book may know of other labels; only where this one went matters still.
            event.merchant_id = state.book.moved_to(label.user_id, offset) or label.merchant_id
            continue
        effect = state.book.take(
            label.user_id,
            label.transaction_id,
            label.event_time,
            label.merchant_id,
            label.label_time,
            label.is_fraud,
            state.users.floor_by(int(newest[place])),
        )
        event.event_time, event.merchant_id, part.fraud[row] = effect
        if effect.merchant_id != label.merchant_id:
            state.book.note_moved(label.user_id, offset, effect.merchant_id)


def apply(part: Part, counts: Counter[str]) -> Float32:
    """Applies the accepted rows to their users, and says where each row goes; returns their features (float32, accepted × width)."""
    state, events = part.state, part.events
    n = len(events)
    # A refused record has no merchant to go by; any partition that follows from its source will do.
    part.target[part.kind == RecordKind.REFUSED] = state.validator.partition % state.merchant_partitions
    part.target[part.rows] = state.targets([event.merchant_id for event in events])
    kind = part.kind[part.rows]
    if state.ahead:
        seen = [state.has_applied(event.user_id, part.records[row].offset) for event, row in zip(events, part.rows, strict=True)]
        kind[seen] += SEEN
    slots = state.users.slots([event.user_id for event in events])
    times = np.fromiter([event.event_time for event in events], np.int64, n)
    amounts = np.fromiter([event.amount for event in events], np.int64, n)
    devices = device_hashes([event.device_id for event in events]) if state.feature_set.devices else np.zeros(n, np.int64)
    features, lateness = state.users.apply(kind, slots, times, amounts, part.fraud[part.rows], devices)
    counts.update(count_lateness(lateness))
    # A label too late for its user counts nowhere.
    part.fraud[np.array(part.rows, np.int64)[lateness == Lateness.TOO_LATE]] = 0
    return features


def _route(parts: Sequence[Part], features: Float32, order: Int64 | None) -> list[Routed]:
    """The parts' rows as batches for each merchant partition, in this order of all rows, else as they stand."""
    states = {part.state.validator.partition: part.state for part in parts}
    feature_set, partitions = parts[0].state.feature_set, parts[0].state.merchant_partitions
    target = np.concatenate([part.target for part in parts])
    source = np.concatenate([np.full(len(part.records), part.state.validator.partition, np.int32) for part in parts])
    offset = np.array([record.offset for part in parts for record in part.records], np.int64)
    # What an aligned replay sends came in long ago, if not in this order.
    arrived = None if order is not None else np.concatenate([part.timestamp for part in parts])
    by_target = np.argsort(target if order is None else target[order], kind="stable")
    order = by_target if order is None else order[by_target]
    cuts = np.searchsorted(target[order], np.arange(partitions + 1)).tolist()
    table = _table(parts, source, offset, features).take(pa.array(order))
    source, offset = source[order], offset[order]
    arrived = None if arrived is None else arrived[order]
    routed = []
    for number, (begin, end) in enumerate(pairwise(cuts)):
        for piece in batches.pieces(table.slice(begin, end - begin)):
            until = begin + len(piece)
            previous = _previous(states, number, source[begin:until], offset[begin:until])
            headers = batches.headers(previous, feature_set)
            if arrived is not None:
                headers.append((arrivals.ARRIVED, arrivals.encode(arrived[begin:until])))
            routed.append(Routed(number, batches.encode(piece), headers))
            begin = until
    return routed


def _previous(states: Mapping[int, IngestState], target: int, source: npt.NDArray[np.int32], offset: Int64) -> dict[int, int]:
    """The offset before these rows, by source, noting the rows' last."""
    previous = {}
    numbers, from_end = np.unique(source[::-1], return_index=True)
    for number, last in zip(numbers.tolist(), offset[::-1][from_end].tolist(), strict=True):
        state = states[number]
        previous[number], state.previous[target] = state.previous[target], last
    return previous


def _table(parts: Sequence[Part], source: npt.NDArray[np.int32], offset: Int64, features: Float32) -> pa.RecordBatch:
    events = list(chain.from_iterable(part.events for part in parts))
    n = len(offset)
    columns = [
        pa.array([event.transaction_id for event in events], pa.string()),
        pa.array([event.event_time for event in events], pa.int64()),
        pa.array([event.user_id for event in events], pa.string()),
        pa.array([event.merchant_id for event in events], pa.string()),
        pa.array([event.amount for event in events], pa.int64()),
        pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), features.shape[1]),
    ]
    if len(events) < n:
        # Numbers of the accepted rows, null where there is none: taking null gives null.
        accepted = np.concatenate([part.accepted() for part in parts])
        place = np.where(accepted, np.cumsum(accepted) - 1, 0)
        columns = [column.take(pa.array(place, mask=~accepted)) for column in columns]
    return pa.RecordBatch.from_arrays(
        [
            pa.array(np.concatenate([part.kind for part in parts])),
            pa.array(source),
            pa.array(offset),
            *columns[:5],
            pa.array(np.concatenate([part.fraud for part in parts]).astype(np.int8)),
            pa.array(list(chain.from_iterable(part.payload for part in parts)), pa.binary()),
            columns[5],
        ],
        schema=batches.batch_schema(parts[0].state.feature_set),
    )
