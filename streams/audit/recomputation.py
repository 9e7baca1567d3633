"""The vectors of all transactions, computed again from the raw records, merchants in the order of their log.

Users' records are validated, known again and applied as INGEST does, by its own pure function. Of ``transactions.by-merchant`` only the
order is taken, which records it names and when, never a feature; what it says again, or leaves a gap before, is dropped as SCORE does. A
record that the order skips, though later ones of its source are there, is put in before them: it should have counted.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import pyarrow as pa
from msgspec import structs

from features.arrays import Int64, RecordKind
from features.definitions import Entity, FeatureSet
from features.state import EntityState
from streams.audit.pending import AskedStates, Changes, WaitingRows
from streams.ingest import ingest
from streams.messages import batches
from streams.messages.batches import Batch
from streams.messages.events import Label, Transaction
from streams.messages.headers import seq_of
from streams.messages.record import Record, SourcePosition
from streams.messages.seal import Seal
from streams.messages.topics import TRANSACTIONS
from streams.messages.validation import Validator
from streams.score import Observed, admit, advance
from streams.state import saved_state
from streams.state.merchants import ScoreState
from streams.state.users import IngestState

Read = TypeVar("Read")

# Rows of so many batches are applied in one go.
_BATCHES = 64


class Applied(NamedTuple):
    """One event as it was applied: where it stands on ``transactions``, at which offset of the merchants' log (−1 for a user's own side),
    its place in a replay if it came from one, what a label adds to its tile (+1, 0 or −1), and the message: a label where it acts, and as
    it was ``sent``."""

    source: int
    offset: int
    log_offset: int
    seq: int | None
    fraud: int
    event: Transaction | Label
    sent: Label | None = None


class _Row(NamedTuple):
    """What INGEST has made of a record, by the names of a batch's columns."""

    kind: int
    event_time: int
    merchant_id: str
    fraud: int


class Watcher(Protocol):
    """Who wants to know all that is applied, in order."""

    def learned(self, source: int, events: Sequence[Applied]) -> None:
        """Events applied to their users, of one partition of ``transactions``."""

    def ordered(self, target: int, events: Sequence[Applied]) -> None:
        """Events applied to their merchants, of one partition of ``transactions.by-merchant``."""


class StateAt(NamedTuple):
    """A key's state as of all records of its partition up to and with ``offset``."""

    entity: Entity
    partition: int
    offset: int
    key: str


@dataclass(frozen=True)
class Shape:
    """What the logs of a deployment are like: the settlement currency, partitions of ``transactions`` (sources) and of
    ``transactions.by-merchant`` (targets), the records that each stage has given up, and what seals are checked by."""

    currency: str
    sources: int
    targets: int
    failed_users: frozenset[SourcePosition] = frozenset()
    failed_merchants: frozenset[SourcePosition] = frozenset()
    seal: Seal = field(default_factory=Seal, repr=False)


class SavedRecomputation(NamedTuple):
    """All that a recomputation knows at its positions ``learned`` and ``ordered``: each partition's state (``saved_state.whole``), the rows
    that no order has named, by target and source, and the devices of API transactions."""

    learned: list[int]
    ordered: list[int]
    users: list[dict[bytes, bytes]]
    merchants: list[dict[bytes, bytes]]
    waiting: dict[tuple[int, int], list[pa.RecordBatch]]
    devices: dict[SourcePosition, str | None]


@dataclass
class Recomputation:
    """Goes forward only: first ``learn`` the records that an order names, then ``order`` it.

    It begins with the logs, or goes on ``since`` what another has saved; then there may be no watchers, who would miss what was before.
    ``learned`` and ``ordered`` are the next offsets by partition. ``states`` holds the encoded states that were asked for, None for a key
    that was never seen; ``devices`` the device of each transaction that the API answered.
    """

    feature_set: FeatureSet
    shape: Shape
    watchers: Sequence[Watcher] = ()
    since: InitVar[SavedRecomputation | None] = None
    users: list[IngestState] = field(init=False)
    merchants: list[ScoreState] = field(init=False)
    states: dict[StateAt, bytes | None] = field(init=False, default_factory=dict)
    devices: dict[SourcePosition, str | None] = field(init=False, default_factory=dict)
    skipped: int = field(init=False, default=0)

    def __post_init__(self, since: SavedRecomputation | None) -> None:
        shape = self.shape
        validators = [Validator(TRANSACTIONS.name, source, shape.sources, shape.currency, shape.seal) for source in range(shape.sources)]
        self.users = [IngestState(self.feature_set, validator, shape.targets) for validator in validators]
        self.merchants = [ScoreState(self.feature_set, shape.targets, shape.sources, shape.currency) for _ in range(shape.targets)]
        self.learned, self.ordered = [0] * shape.sources, [0] * shape.targets
        self._schema = batches.batch_schema(self.feature_set)
        self._waiting: defaultdict[tuple[int, int], WaitingRows] = defaultdict(WaitingRows)
        self._events: dict[SourcePosition, Applied] = {}
        self._asked: dict[tuple[Entity, int], AskedStates] = {}
        self._changes: dict[Entity, list[Changes]] = {
            "user": [Changes() for _ in range(shape.sources)],
            "merchant": [Changes() for _ in range(shape.targets)],
        }
        if since is not None:
            self._resume(since)
        for user in self.users:
            user.failed = set(shape.failed_users)
        for merchant in self.merchants:
            merchant.failed = set(shape.failed_merchants)

    def position(self, entity: Entity, partition: int) -> int:
        """The next offset to apply."""
        return (self.learned if entity == "user" else self.ordered)[partition]

    def ask(self, wanted: StateAt) -> bool:
        """Has the state kept once it is reached; False if the log is past it, and the key has changed since."""
        if wanted.offset < self.position(wanted.entity, wanted.partition) - 1:
            return wanted in self.states or self._is_unchanged_since(wanted)
        self._asked.setdefault((wanted.entity, wanted.partition), AskedStates()).add(wanted.offset, wanted.key)
        self._answer(wanted.entity, wanted.partition)
        return True

    def learn(self, source: int, records: Sequence[Record], until: int) -> None:
        """Applies the next records of a partition of ``transactions``, which go up to before ``until``."""
        for part in self._between_asked("user", source, records, [record.offset for record in records]):
            self._learn(source, part)
            self.learned[source] = part[-1].offset + 1
            self._answer("user", source)
        self.learned[source] = max(self.learned[source], until)
        self._answer("user", source)

    def order(self, target: int, read: Sequence[Batch], until: int) -> Iterator[Observed]:
        """Applies the next batches of a partition of ``transactions.by-merchant``, which go up to before ``until``; yields the transactions
        among them with their vectors. All that they name must be learned."""
        for part in self._between_asked("merchant", target, read, [batch.position[1] for batch in read]):
            for begin in range(0, len(part), _BATCHES):
                yield self._order(target, part[begin : begin + _BATCHES])
            self.ordered[target] = part[-1].position[1] + 1
            self._answer("merchant", target)
        self.ordered[target] = max(self.ordered[target], until)
        self._answer("merchant", target)

    def forget_before(self, settled: Mapping[int, int]) -> None:
        """Nothing before these offsets of ``transactions``, by partition, will be asked about."""
        self.devices = {place: device for place, device in self.devices.items() if place[1] >= settled[place[0]]}

    def saved(self) -> SavedRecomputation:
        """All that is known, for another to go on ``since``."""
        return SavedRecomputation(
            list(self.learned),
            list(self.ordered),
            [saved_state.whole(*one) for one in zip(self.users, self.learned, self._changed("user"), strict=True)],
            [saved_state.whole(*one) for one in zip(self.merchants, self.ordered, self._changed("merchant"), strict=True)],
            {place: list(waiting.rows) for place, waiting in self._waiting.items() if waiting.rows},
            dict(self.devices),
        )

    def _resume(self, since: SavedRecomputation) -> None:
        sides: list[tuple[Sequence[saved_state.Savable], list[dict[bytes, bytes]]]] = [
            (self.users, since.users),
            (self.merchants, since.merchants),
        ]
        for (states, saved), changes in zip(sides, self._changes.values(), strict=True):
            for partition, (state, records) in enumerate(zip(states, saved, strict=True)):
                restored = saved_state.restore(state, records, f"the saved audit's partition {partition}")
                changes[partition] = Changes(restored.positions - 1)
        self.learned, self.ordered = list(since.learned), list(since.ordered)
        self._waiting.update({place: WaitingRows(deque(rows)) for place, rows in since.waiting.items()})
        self.devices = dict(since.devices)

    def _changed(self, entity: Entity) -> list[Int64]:
        """Of each partition's keys, the offset behind the last that changed it, by slot."""
        return [changes.of(len(self._entity(entity, number))) + 1 for number, changes in enumerate(self._changes[entity])]

    def _entity(self, entity: Entity, partition: int) -> EntityState:
        return self.users[partition].users if entity == "user" else self.merchants[partition].merchants

    def _is_unchanged_since(self, wanted: StateAt) -> bool:
        """Whether a key's present state is the one that it had as of an earlier offset; then it is kept."""
        state = self._entity(wanted.entity, wanted.partition)
        slot = state.keys.get(wanted.key)
        if slot is None or self._changes[wanted.entity][wanted.partition].of(len(state))[slot] > wanted.offset:
            return False
        self.states[wanted] = state.encode(np.array([slot], np.int64))[0]
        return True

    def unnamed(self) -> Iterator[pa.RecordBatch]:
        """Recomputed rows, in pieces, that no order has named so far."""
        for waiting in self._waiting.values():
            yield from waiting.rows

    def _learn(self, source: int, records: Sequence[Record]) -> None:
        state = self.users[source]
        accepted: dict[int, _Row] = {}
        for sent in ingest([(state, records)], Counter()):
            rows = batches.decode(sent.value, sent.headers, (sent.partition, 0), self._schema, self.feature_set).rows
            self._waiting[sent.partition, source].append(rows)
            self._changes["user"][source].note(state.users, rows, "user_id", rows["offset"].to_numpy())
            if self.watchers:
                columns = (rows[name].to_pylist() for name in _Row._fields)
                accepted |= dict(zip(rows["offset"].to_pylist(), map(_Row, *columns), strict=True))
        if self.feature_set.devices:
            for record in records:
                if record.headers and state.validator.opened(record).answer is not None:
                    self.devices[source, record.offset] = state.validator.transaction(record).device_id
        if self.watchers:
            self._tell_learned(source, records, accepted)

    def _tell_learned(self, source: int, records: Sequence[Record], accepted: dict[int, _Row]) -> None:
        validator, events = self.users[source].validator, []
        for record in records:
            row = accepted.get(record.offset)
            if row is None or row.kind == RecordKind.REFUSED:
                continue
            sent = validator.label(record) if row.kind == RecordKind.LABEL else None
            event = (
                validator.transaction(record)
                if sent is None
                else structs.replace(sent, event_time=row.event_time, merchant_id=row.merchant_id)
            )
            applied = Applied(source, record.offset, -1, seq_of(record), row.fraud, event, sent)
            events.append(applied)
            self._events[source, record.offset] = applied
        for watcher in self.watchers:
            watcher.learned(source, events)

    def _order(self, target: int, read: Sequence[Batch]) -> Observed:
        state, made = self.merchants[target], list[Batch]()
        for batch in read:
            named = admit(state, batch, Counter()).rows
            rows = self._take(target, named["source"].to_numpy(), named["offset"].to_numpy())
            if rows is None:
                continue
            # Admitted already, so it names nothing that could be missing before it.
            made.append(Batch(rows, {}, batch.position))
            if self.watchers:
                self._tell_ordered(target, rows, batch.position[1])
        if not made:
            return self._nothing()
        observed = advance([(state, made)], Counter())
        for batch in made:
            at = np.full(len(batch.rows), batch.position[1])
            self._changes["merchant"][target].note(state.merchants, batch.rows, "merchant_id", at)
        return observed

    def _take(self, target: int, sources: np.ndarray, offsets: np.ndarray) -> pa.RecordBatch | None:
        """The recomputed rows up to those that the log names, in its order."""
        pieces, places = [], []
        for source in np.unique(sources).tolist():
            here = np.flatnonzero(sources == source)
            rows = self._waiting[target, source].take(int(offsets[here[-1]]))
            if rows is None:
                continue
            found = rows["offset"].to_numpy()
            at = np.searchsorted(offsets[here], found)
            skipped = offsets[here][at] != found
            self.skipped += int(np.count_nonzero(skipped))
            pieces += rows.to_batches()
            places.append(here[at] - 0.5 * skipped)
        if not pieces:
            return None
        table, place = pa.Table.from_batches(pieces), np.concatenate(places)
        if (np.diff(place) <= 0).any():
            table = table.take(pa.array(np.argsort(place, kind="stable")))
        return table.combine_chunks().to_batches()[0]

    def _tell_ordered(self, target: int, rows: pa.RecordBatch, log_offset: int) -> None:
        places = zip(rows["kind"].to_pylist(), rows["source"].to_pylist(), rows["offset"].to_pylist(), strict=True)
        failed = self.shape.failed_merchants
        events = [
            self._events.pop((source, offset))._replace(log_offset=log_offset)
            for kind, source, offset in places
            if kind != RecordKind.REFUSED and (source, offset) not in failed
        ]
        for watcher in self.watchers:
            watcher.ordered(target, events)

    def _nothing(self) -> Observed:
        empty = pa.RecordBatch.from_pylist([], self._schema)
        return Observed(empty, np.empty((0, 2), np.int64), np.empty((0, len(self.feature_set.names)), np.float32), [])

    def _between_asked(self, entity: Entity, partition: int, read: Sequence[Read], offsets: Sequence[int]) -> Iterator[Sequence[Read]]:
        """What was read, cut after the offsets as of which states are asked for."""
        asked = self._asked.get((entity, partition))
        cuts = np.searchsorted(offsets, asked.within(offsets[-1]), side="right").tolist() if asked and offsets else []
        begin = 0
        for end in [*cuts, len(read)]:
            if end > begin:
                yield read[begin:end]
                begin = end

    def _answer(self, entity: Entity, partition: int) -> None:
        asked = self._asked.get((entity, partition))
        if asked is None:
            return
        position = self.position(entity, partition)
        state = self._entity(entity, partition)
        for offset, keys in asked.reached(position):
            for key in keys:
                slot = state.keys.get(key)
                encoded = None if slot is None else state.encode(np.array([slot], np.int64))[0]
                self.states[StateAt(entity, partition, offset, key)] = encoded
