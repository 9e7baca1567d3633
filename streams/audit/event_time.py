"""How far the vectors of a disordered stream are from the ideal ones, those of all events in the order of their event times.

Ideal is what a backtest of the same events says: by time, labels (which count from their label_time on) before transactions, then in the
order of the replay that sent them, else of the log. Every vector is recomputed from the log as the stream saw it, so that the difference
is that of the orders alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from features.arrays import Float32, Int64, Lateness, RecordKind
from features.definitions import Entity, FeatureSet
from features.labels import Effect, LabelBook
from features.oracle import BOTH
from features.state import EntityState
from features.tiles import NEVER
from features.vector import device_hashes
from streams.audit.recomputation import Applied
from streams.messages.events import Label
from streams.score import Observed

_OFFSETS = 1 << 44
_CHUNK = 1 << 16
_QUANTILES = (0.5, 0.9, 0.99, 1.0)


class _Row(NamedTuple):
    """What one event is in the ideal order: its time there, whether it is a label, its turn among equals, then as the kernel takes it."""

    at: int
    is_transaction: int
    turn: int
    place: int
    kind: int
    time: int
    amount: int
    device: int
    slot: int


@dataclass
class EventTime:
    """A ``recomputation.Watcher`` and an observer of all that is recomputed, for the report. Holds some 500 bytes an event."""

    feature_set: FeatureSet
    _rows: dict[Entity, list[Int64]] = field(default_factory=lambda: {"user": [], "merchant": []})
    _states: dict[Entity, EntityState] = field(init=False)
    _labels: dict[int, Label] = field(default_factory=dict)
    _effects: dict[int, Effect] = field(default_factory=dict)
    _served: list[tuple[Int64, Float32]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._states = {entity: EntityState(self.feature_set, entity) for entity in BOTH}

    def learned(self, source: int, events: Sequence[Applied]) -> None:
        """See ``recomputation.Watcher``."""
        self._labels.update({_place(applied): applied.sent for applied in events if applied.sent is not None})
        self._append("user", events, [applied.offset for applied in events])

    def ordered(self, target: int, events: Sequence[Applied]) -> None:
        """See ``recomputation.Watcher``."""
        self._append("merchant", events, [applied.log_offset for applied in events])

    def observe(self, observed: Observed) -> None:
        """Takes vectors as the stream must have seen them."""
        if len(observed.rows):
            places = observed.rows["source"].to_numpy().astype(np.int64) * _OFFSETS + observed.rows["offset"].to_numpy()
            self._served.append((places, observed.vectors))

    def report(self) -> dict[str, object]:
        """Shares of rows and of values that differ, and for each feature that does how often and by how much."""
        places, served = self._take_served()
        rows, width, values = len(places), len(self.feature_set.names), 0
        any_differs = np.zeros(rows, np.bool_)
        features: dict[str, object] = {}
        begin, too_late = len(self.feature_set.of("request")), np.zeros(0, np.int64)
        for entity in self._states:
            ideal_places, ideal, too_late = self._ideal(entity, too_late)
            order = np.argsort(ideal_places)
            at = order[np.searchsorted(ideal_places, places, sorter=order)] if rows else np.zeros(0, np.int64)
            for column, feature in enumerate(self.feature_set.of(entity)):
                was, should = np.ascontiguousarray(served[:, begin + column]), ideal[at, column]
                differs = was.view(np.uint32) != should.view(np.uint32)
                any_differs |= differs
                if differs.any():
                    values += int(np.count_nonzero(differs))
                    features[feature.name] = _by_how_much(was[differs], should[differs], rows)
            begin += len(self.feature_set.of(entity))
        return {
            "rows": rows,
            "rows_that_differ": int(np.count_nonzero(any_differs)),
            "share_of_rows": _share(np.count_nonzero(any_differs), rows),
            "values_that_differ": values,
            "share_of_values": _share(values, rows * width),
            "features": features,
        }

    def _take_served(self) -> tuple[Int64, Float32]:
        """Places and vectors of all that was observed; given away piece by piece, for they fill much of the memory."""
        rows = sum(len(places) for places, _ in self._served)
        places, vectors = np.empty(rows, np.int64), np.empty((rows, len(self.feature_set.names)), np.float32)
        while self._served:
            some, of_these = self._served.pop()
            rows -= len(some)
            places[rows : rows + len(some)], vectors[rows : rows + len(some)] = some, of_these
        return places, vectors

    def _append(self, entity: Entity, events: Sequence[Applied], turns: Sequence[int]) -> None:
        if not events:
            return
        names = [applied.event.user_id if entity == "user" else applied.event.merchant_id for applied in events]
        slots = self._states[entity].slots(names).tolist()
        rows = [_row(applied, turn, slot) for applied, turn, slot in zip(events, turns, slots, strict=True)]
        self._rows[entity].append(np.array(rows, np.int64))

    def _ideal(self, entity: Entity, too_late: Int64) -> tuple[Int64, Float32, Int64]:
        """Places and features of an entity's transactions in the ideal order, and the labels that came too late; the merchants get
        which of the users' did."""
        rows = np.concatenate(self._rows[entity]) if self._rows[entity] else np.zeros((0, len(_Row._fields)), np.int64)
        self._rows[entity] = []
        rows = rows[np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))]
        of = {name: rows[:, column] for column, name in enumerate(_Row._fields)}
        state = self._states[entity]
        if entity == "user":
            self._place_labels(of)
        labels = np.flatnonzero(of["kind"] == RecordKind.LABEL)
        effects = [self._effects[place] for place in of["place"][labels].tolist()]
        fraud = np.zeros(len(rows), np.int64)
        fraud[labels] = [effect.fraud for effect in effects]
        fraud[np.isin(of["place"], too_late)] = 0
        of["time"][labels] = [effect.event_time for effect in effects]
        if entity == "merchant":
            of["slot"][labels] = state.slots([effect.merchant_id for effect in effects])
        features, late = [], []
        for begin in range(0, len(rows), _CHUNK):
            here = slice(begin, begin + _CHUNK)
            kind = of["kind"][here].astype(np.int8)
            seen, lateness = state.apply(kind, of["slot"][here], of["time"][here], of["amount"][here], fraud[here], of["device"][here])
            features.append(seen[kind == RecordKind.TRANSACTION])
            late.append(of["place"][here][(lateness == Lateness.TOO_LATE) & (kind == RecordKind.LABEL)])
        made = np.concatenate(features) if features else np.zeros((0, state.width), np.float32)
        return of["place"][of["kind"] == RecordKind.TRANSACTION], made, np.concatenate([*late, np.zeros(0, np.int64)])

    def _place_labels(self, of: Mapping[str, Int64]) -> None:
        """Finds where each label acts and what it adds, in this order of the users' events."""
        book, users = LabelBook(), self._states["user"]
        newest = np.maximum.accumulate(np.where(of["kind"] == RecordKind.TRANSACTION, of["time"], NEVER))
        for row in np.flatnonzero(of["kind"] == RecordKind.LABEL).tolist():
            place = int(of["place"][row])
            label, floor = self._labels[place], users.floor_by(int(newest[row]))
            self._effects[place] = book.take(
                label.user_id, label.transaction_id, label.event_time, label.merchant_id, label.label_time, label.is_fraud, floor
            )


def text(report: Mapping[str, object], most: int = 8) -> list[str]:
    """The report for people, a line each; of the features those that differ most often."""
    features: Mapping[str, Mapping[str, object]] = report["features"]  # type: ignore[assignment]
    lines = [
        f"by event time: {report['rows_that_differ']:,} of {report['rows']:,} vectors ({report['share_of_rows']:.3%}) and "
        f"{report['share_of_values']:.3%} of all values differ from the ideal ones"
    ]
    often = sorted(features.items(), key=lambda item: -int(item[1]["differing"]))  # type: ignore[call-overload]
    for name, figures in often[:most]:
        relative: Mapping[str, float] = figures["relative"]  # type: ignore[assignment]
        by = f", relatively {relative['p50']:.2g} at the median, {relative['p99']:.2g} at p99" if relative else ""
        lines.append(f"  {name}: {figures['share']:.3%}{by}")
    return lines


def _row(applied: Applied, turn: int, slot: int) -> _Row:
    event = applied.event
    turn = turn if applied.seq is None else applied.seq
    if isinstance(event, Label):
        return _Row(event.label_time, 0, turn, _place(applied), RecordKind.LABEL, event.event_time, 0, 0, slot)
    time, device = event.event_time, int(device_hashes([event.device_id])[0])
    return _Row(time, 1, turn, _place(applied), RecordKind.TRANSACTION, time, event.amount, device, slot)


def _place(applied: Applied) -> int:
    return applied.source * _OFFSETS + applied.offset


def _by_how_much(was: Float32, should: Float32, rows: int) -> dict[str, object]:
    both = np.isfinite(was) & np.isfinite(should)
    absolute = np.abs(was[both].astype(np.float64) - should[both])
    against = np.abs(should[both].astype(np.float64))
    relative = absolute[against > 0] / against[against > 0]
    return {
        "differing": len(was),
        "share": _share(len(was), rows),
        "missing_in_one": int(np.count_nonzero(~both)),
        "absolute": _quantiles(absolute),
        "relative": _quantiles(relative),
    }


def _quantiles(values: np.ndarray) -> dict[str, float]:
    """None of no values."""
    if not len(values):
        return {}
    names = [f"p{quantile * 100:g}" if quantile < 1 else "max" for quantile in _QUANTILES]
    return dict(zip(names, np.quantile(values, _QUANTILES).tolist(), strict=True))


def _share(part: int | np.intp, whole: int) -> float:
    return float(part) / whole if whole else 0.0
