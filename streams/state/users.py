"""What a partition of ``transactions`` has taught INGEST."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from features.definitions import FeatureSet
from features.labels import LabelBook
from features.state import EntityState
from streams.messages.partitioner import partition_of
from streams.messages.record import SourcePosition
from streams.messages.validation import Validator
from streams.state.duplicates import Piece, TransactionMemory
from streams.state.saved_state import StageProgress


@dataclass
class IngestState:
    """All that one partition of ``transactions`` has taught: users, labels, the transactions taken lately, and where each merchant
    partition's last row came from. ``ahead`` and ``failed``: see ``saved_state.Savable``.
    """

    feature_set: FeatureSet
    validator: Validator
    merchant_partitions: int
    users: EntityState = field(init=False)
    book: LabelBook = field(init=False, default_factory=LabelBook)
    taken: TransactionMemory = field(init=False, default_factory=TransactionMemory)
    previous: list[int] = field(init=False)
    known_targets: dict[str, int] = field(init=False, default_factory=dict)
    ahead: dict[str, int] = field(init=False, default_factory=dict)
    failed: set[SourcePosition] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.users = EntityState(self.feature_set, "user")
        self.previous = [-1] * self.merchant_partitions

    def targets(self, merchant_ids: Sequence[str]) -> list[int]:
        """The merchant partition of each merchant."""
        known = self.known_targets
        try:
            return list(map(known.__getitem__, merchant_ids))
        except KeyError:
            for merchant_id in merchant_ids:
                if merchant_id not in known:
                    known[merchant_id] = partition_of(merchant_id.encode(), self.merchant_partitions)
        return list(map(known.__getitem__, merchant_ids))

    def has_applied(self, user_id: str, offset: int) -> bool:
        """Whether a record applied again is in its user's state already."""
        return offset < self.ahead.get(user_id, -1)

    @property
    def entity(self) -> EntityState:
        """The users."""
        return self.users

    def progress(self) -> StageProgress:
        """See ``saved_state.Savable``."""
        return StageProgress(
            self.validator.partitions,
            self.merchant_partitions,
            dict(enumerate(self.previous)),
            self.users.clock,
            self.validator.currency,
        )

    def labels(self, names: Sequence[str], since: int) -> list[bytes]:
        """See ``saved_state.Savable``."""
        floor = self.users.floor_by()
        return [self.book.encode(name, floor, since) for name in names]

    def news(self) -> tuple[list[Piece], list[tuple[int, int]]]:
        """See ``saved_state.Savable``."""
        return self.taken.news()

    def memory(self) -> Iterable[Piece]:
        """See ``saved_state.Savable``."""
        return self.taken.pieces()

    def resume(self, progress: StageProgress, pieces: Iterable[Piece], labels: Mapping[str, bytes]) -> None:
        """See ``saved_state.Savable``."""
        self.previous = [progress.marks[target] for target in range(self.merchant_partitions)]
        self.users.set_clock(progress.clock)
        self.taken.restore(pieces)
        for user_id, encoded in labels.items():
            self.book.restore(user_id, encoded)
