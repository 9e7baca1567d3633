"""The slow oracle beside the kernel, for a share of all users and merchants: all that is asked about one of these is computed twice."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np

from features.arrays import Float32
from features.definitions import Entity, FeatureSet
from features.oracle import Key, Oracle, PlacedLabel
from streams.audit.recomputation import Applied, Shape
from streams.messages.events import Label, Transaction
from streams.messages.record import SourcePosition
from streams.score import Observed

# The oracle reads all of a key's past for each answer: of a key with more events than this only some are asked about.
_MANY = 400


@dataclass
class Checked:
    """Half vectors, a user's or a merchant's, that the oracle computed too; ``first_seen`` of a key never seen before, ``with_frauds`` of
    one with frauds in a window."""

    halves: int = 0
    first_seen: int = 0
    with_frauds: int = 0


@dataclass
class OracleShare:
    """A ``recomputation.Watcher``. Keys are chosen by a checksum of their names, so that every run chooses the same."""

    feature_set: FeatureSet
    shape: Shape
    share: float
    checked: Checked = field(default_factory=Checked)

    def __post_init__(self) -> None:
        self._users = [Oracle.of(self.feature_set) for _ in range(self.shape.sources)]
        self._merchants = [Oracle.of(self.feature_set, self.shape.sources) for _ in range(self.shape.targets)]
        self._late: set[SourcePosition] = set()
        self._placed: dict[SourcePosition, PlacedLabel] = {}
        self._halves: dict[Entity, dict[SourcePosition, Float32]] = {"user": {}, "merchant": {}}

    def learned(self, source: int, events: Sequence[Applied]) -> None:
        """See ``recomputation.Watcher``."""
        oracle = self._users[source]
        for applied in events:
            event, chosen = applied.event, self._is_chosen(applied.event.user_id)
            if isinstance(event, Label):
                # The user's labels alone decide where one acts and whether it comes too late, for the merchant too.
                self._placed[source, applied.offset] = placed = oracle.place(applied.sent or event)
                if oracle.is_beyond_horizon(placed):
                    self._late.add((source, applied.offset))
                elif chosen:
                    oracle.note_label(placed, ("user",))
            elif chosen:
                self._observe("user", oracle, oracle.users.get(event.user_id), applied, 0)
                oracle.apply_transaction(event, 0, ("user",))
            else:
                oracle.move_clock(event)
                oracle.move_anchor(event)

    def ordered(self, target: int, events: Sequence[Applied]) -> None:
        """See ``recomputation.Watcher``."""
        oracle = self._merchants[target]
        for applied in events:
            event, chosen, place = applied.event, self._is_chosen(applied.event.merchant_id), (applied.source, applied.offset)
            if isinstance(event, Label):
                placed = self._placed.pop(place)
                if place not in self._late and self._is_chosen(placed.merchant_id):
                    oracle.note_label(placed, ("merchant",))
                self._late.discard(place)
            elif chosen:
                self._observe("merchant", oracle, oracle.merchants.get(event.merchant_id), applied, applied.source)
                oracle.apply_transaction(event, applied.source, ("merchant",))
            else:
                oracle.move_clock(event, applied.source)

    def differing(self, observed: Observed) -> dict[int, Float32]:
        """Of these transactions, as the kernel recomputed them, the rows of which the oracle says otherwise, with its vector: where it has
        no opinion the kernel's."""
        request = len(self.feature_set.of("request"))
        split = request + len(self.feature_set.of("user"))
        parts: dict[Entity, slice] = {"user": slice(request, split), "merchant": slice(split, None)}
        found: dict[int, Float32] = {}
        places = zip(observed.rows["source"].to_pylist(), observed.rows["offset"].to_pylist(), strict=True)
        for row, place in enumerate(places):
            for entity, part in parts.items():
                half = self._halves[entity].pop(place, None)
                if half is not None and half.tobytes() != observed.vectors[row, part].tobytes():
                    found.setdefault(row, observed.vectors[row].copy())[part] = half
        return found

    def _is_chosen(self, key: str) -> bool:
        return crc32(key.encode()) < self.share * 2**32

    def _observe(self, entity: Entity, oracle: Oracle, key: Key | None, applied: Applied, source: int) -> None:
        known = len(key.events) if key else 0
        if known > _MANY and applied.offset % (known // _MANY + 1):
            return
        assert isinstance(applied.event, Transaction)
        observed = oracle.observe_key(entity, applied.event, source)
        half = np.array([observed[feature.name] for feature in self.feature_set.of(entity)], np.float32)
        self._halves[entity][applied.source, applied.offset] = half
        self.checked.halves += 1
        self.checked.first_seen += not known
        self.checked.with_frauds += any(observed[f.name] > 0 for f in self.feature_set.of(entity) if f.measure == "fraud_count")
