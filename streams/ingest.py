"""INGEST: a user's records and what is known of the user → batches for the merchants' partitions.

A pure function of its source partitions: it may say things twice (after a restart), never differently.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.arrays import Float32, Int8, Int64, Lateness, RecordKind
from features.definitions import FeatureSet
from features.state import count_lateness
from features.vector import device_hashes
from features.windows import SEEN
from streams.messages import batches
from streams.messages.events import Transaction
from streams.messages.headers import END_OF_REPLAY, HEADER
from streams.messages.record import Record
from streams.messages.validation import RefusedError
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
class _Rows:
    """The records of one call, column by column; ``events`` of accepted rows only, ``accepted`` their row numbers, ``target`` the merchant
    partition of every row, _NOWHERE for one that was sent before."""

    kind: np.ndarray
    fraud: np.ndarray
    source: np.ndarray
    offset: np.ndarray
    target: np.ndarray
    payload: list[bytes | None]
    events: list[Transaction] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)

    @classmethod
    def empty(cls, n: int) -> "_Rows":
        """Of n records of which nothing is known yet."""
        return cls(
            np.zeros(n, np.int8), np.zeros(n, np.int64), np.empty(n, np.int32), np.empty(n, np.int64), np.empty(n, np.int64), [None] * n
        )


def ingest(
    turn: Sequence[tuple[IngestState, Sequence[Record]]], counts: Counter[str], places: Sequence[Int64] | None = None
) -> list[Routed]:
    """Applies records of some source partitions, in order, to each one's state; returns what to send on, in order.

    Every record becomes one row: a transaction with its user's features as of before it, a label with what it adds, or a refused
    record with its dead letter. A transaction sent before becomes none, unless its content differs: that is refused; nor does the end of a
    replay. ``counts`` gains late, too_late, labels, duplicates, answers_overruled (duplicates to which the API had given an answer of its
    own) and refused.<reason>.

    Rows are sent on partition after partition, or by ``places`` if given: each record's (int64, never falling in a partition) among all.
    """
    n = sum(len(records) for _, records in turn)
    rows = _Rows.empty(n)
    features, begin = [], 0
    for state, records in turn:
        features.append(_apply_part(state, records, rows, begin, counts))
        begin += len(records)
    order = np.arange(n) if places is None else np.argsort(np.concatenate(places), kind="stable")
    return _route({state.validator.partition: state for state, _ in turn}, rows, np.concatenate(features), order)


def reapply(state: IngestState, records: Sequence[Record]) -> None:
    """Brings a state on without saying anything."""
    ingest([(state, records)], Counter())


def _apply_part(state: IngestState, records: Sequence[Record], rows: _Rows, begin: int, counts: Counter[str]) -> Float32:
    """Fills the rows from ``begin`` on with one partition's records; returns the features of those accepted."""
    here = slice(begin, begin + len(records))
    rows.source[here] = state.validator.partition
    rows.offset[here] = [record.offset for record in records]
    known = len(rows.events)
    _read(state, records, rows, begin, counts)
    _leave_out_known(state, records, rows, begin, known, counts)
    events = rows.events[known:]
    accepted = rows.accepted[known:]
    # A refused record has no merchant to go by; any partition that follows from its source will do.
    refuge = state.validator.partition % state.merchant_partitions
    rows.target[here] = np.where(rows.kind[here] == RecordKind.REFUSED, refuge, _NOWHERE)
    rows.target[accepted] = state.targets([event.merchant_id for event in events])
    kind = rows.kind[accepted]
    if state.ahead:
        seen = [state.has_applied(event.user_id, int(rows.offset[row])) for event, row in zip(events, accepted, strict=True)]
        kind[seen] += SEEN
    features, lateness = _apply(state, events, kind, rows.fraud[accepted], counts)
    # A label too late for its user counts nowhere.
    rows.fraud[np.array(accepted, np.int64)[lateness == Lateness.TOO_LATE]] = 0
    return features


def _read(state: IngestState, records: Sequence[Record], rows: _Rows, begin: int, counts: Counter[str]) -> None:
    validator = state.validator
    accept, note = rows.events.append, rows.accepted.append
    for i, record in enumerate(records, begin):
        try:
            if state.failed and (validator.partition, record.offset) in state.failed:
                raise RefusedError("processing_failed", "INGEST failed on this record three times; see its log for why")
            if not record.headers:
                accept(validator.transaction(record))
                note(i)
                continue
            headers = dict(record.headers)
            kind = headers.get("type")
            if kind == END_OF_REPLAY:
                continue
            if kind == b"label":
                accept(_read_label(state, record, rows, i))
                counts["labels"] += 1
            else:
                accept(validator.transaction(record))
                rows.payload[i] = headers.get(HEADER)
            note(i)
        except RefusedError as refused:
            rows.kind[i] = RecordKind.REFUSED
            rows.payload[i] = validator.dead_letter(record, refused)
            counts[f"refused.{refused.reason}"] += 1


def _read_label(state: IngestState, record: Record, rows: _Rows, i: int) -> Transaction:
    """Notes what the label adds; returns it as if it were its transaction, without amount."""
    label = state.validator.label(record)
    rows.kind[i] = RecordKind.LABEL
    if not (state.ahead and state.has_applied(label.user_id, record.offset)):
        labelled = (label.transaction_id, int(label.event_time), label.merchant_id)
        rows.fraud[i] = state.book.delta(label.user_id, labelled, int(label.label_time), label.is_fraud)
    return Transaction(label.transaction_id, label.event_time, label.user_id, label.merchant_id, 0, state.validator.currency)


def _leave_out_known(state: IngestState, records: Sequence[Record], rows: _Rows, begin: int, known: int, counts: Counter[str]) -> None:
    """Takes out of the accepted, from number ``known`` on, the transactions that were taken before."""
    events, accepted = rows.events[known:], rows.accepted[known:]
    asked = np.flatnonzero(rows.kind[accepted] == RecordKind.TRANSACTION).tolist()
    found = state.taken.take(
        [events[i] for i in asked],
        [records[accepted[i] - begin].timestamp for i in asked],
    )
    if not found:
        return
    for place, seen in found:
        i = asked[place]
        row = accepted[i]
        answer, rows.payload[row] = rows.payload[row], None
        if seen is Sighting.DUPLICATE:
            counts["duplicates"] += 1
            counts["answers_overruled"] += answer is not None
        else:
            rows.kind[row] = RecordKind.REFUSED
            rows.payload[row] = state.validator.dead_letter(records[row - begin], _conflict(events[i]))
            counts["refused.conflict"] += 1
    gone = {asked[place] for place, _ in found}
    rows.events[known:] = [event for i, event in enumerate(events) if i not in gone]
    rows.accepted[known:] = [row for i, row in enumerate(accepted) if i not in gone]


def _conflict(event: Transaction) -> RefusedError:
    return RefusedError(
        "conflict",
        f"transaction {event.transaction_id!r} of user {event.user_id!r} was taken before with other content; "
        "a transaction can't be changed, send another under an id of its own",
    )


def _apply(state: IngestState, events: Sequence[Transaction], kind: Int8, fraud: Int64, counts: Counter[str]) -> tuple[Float32, Int8]:
    n = len(events)
    slots = state.users.slots([event.user_id for event in events])
    times = np.fromiter([event.event_time for event in events], np.int64, n)
    amounts = np.fromiter([event.amount for event in events], np.int64, n)
    devices = device_hashes([event.device_id for event in events]) if state.feature_set.devices else np.zeros(n, np.int64)
    features, lateness = state.users.apply(kind, slots, times, amounts, fraud, devices)
    counts.update(count_lateness(lateness))
    return features, lateness


def _route(states: Mapping[int, IngestState], rows: _Rows, features: Float32, order: Int64) -> list[Routed]:
    feature_set, partitions = _common(states)
    order = order[np.argsort(rows.target[order], kind="stable")]
    cuts = np.searchsorted(rows.target[order], np.arange(partitions + 1)).tolist()
    table = _table(feature_set, rows, features).take(pa.array(order))
    source, offset = rows.source[order], rows.offset[order]
    routed = []
    for target, (begin, end) in enumerate(pairwise(cuts)):
        for piece in batches.pieces(table.slice(begin, end - begin)):
            until = begin + len(piece)
            previous = _previous(states, target, source[begin:until], offset[begin:until])
            routed.append(Routed(target, batches.encode(piece), batches.headers(previous, feature_set)))
            begin = until
    return routed


def _common(states: Mapping[int, IngestState]) -> tuple[FeatureSet, int]:
    state = next(iter(states.values()))
    return state.feature_set, state.merchant_partitions


def _previous(states: Mapping[int, IngestState], target: int, source: npt.NDArray[np.int32], offset: Int64) -> dict[int, int]:
    """The offset before these rows, by source, noting the rows' last."""
    previous = {}
    numbers, from_end = np.unique(source[::-1], return_index=True)
    for number, last in zip(numbers.tolist(), offset[::-1][from_end].tolist(), strict=True):
        state = states[number]
        previous[number], state.previous[target] = state.previous[target], last
    return previous


def _table(feature_set: FeatureSet, rows: _Rows, features: Float32) -> pa.RecordBatch:
    events, n = rows.events, len(rows.kind)
    columns = [
        pa.array([event.transaction_id for event in events], pa.string()),
        pa.array([event.event_time for event in events], pa.int64()),
        pa.array([event.user_id for event in events], pa.string()),
        pa.array([event.merchant_id for event in events], pa.string()),
        pa.array([event.amount for event in events], pa.int64()),
        pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), features.shape[1]),
    ]
    if len(events) < n:
        # Row numbers of the accepted ones, null where a record was refused: taking null gives null.
        place = np.full(n, -1, np.int64)
        place[rows.accepted] = np.arange(len(events))
        places = pa.array(place, mask=place < 0)
        columns = [column.take(places) for column in columns]
    return pa.RecordBatch.from_arrays(
        [
            pa.array(rows.kind),
            pa.array(rows.source),
            pa.array(rows.offset),
            *columns[:5],
            pa.array(rows.fraud.astype(np.int8)),
            pa.array(rows.payload, pa.binary()),
            columns[5],
        ],
        schema=batches.batch_schema(feature_set),
    )
