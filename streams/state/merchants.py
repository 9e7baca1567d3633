"""What a partition of ``transactions.by-merchant`` has taught SCORE."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from features.definitions import FeatureSet
from features.state import EntityState
from streams.messages.record import SourcePosition
from streams.state.duplicates import Piece
from streams.state.saved_state import StageProgress


@dataclass
class ScoreState:
    """All that a partition of ``transactions.by-merchant`` has taught: merchants, and the last offset applied of each source partition.

    ``partitions`` and ``sources`` are how many partitions that topic and ``transactions`` have. ``ahead`` and ``failed``: see
    ``saved_state.Savable``.
    """

    feature_set: FeatureSet
    partitions: int
    sources: int
    merchants: EntityState = field(init=False)
    high_water: dict[int, int] = field(init=False, default_factory=dict)
    ahead: dict[str, int] = field(init=False, default_factory=dict)
    failed: set[SourcePosition] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.merchants = EntityState(self.feature_set, "merchant", sources=self.sources)

    @property
    def entity(self) -> EntityState:
        """The merchants."""
        return self.merchants

    def progress(self) -> StageProgress:
        """See ``saved_state.Savable``."""
        return StageProgress(self.partitions, self.sources, dict(self.high_water), self.merchants.clock)

    def labels(self, names: Sequence[str], since: int) -> list[bytes]:
        """None: which label counts is INGEST's to know."""
        return [b""] * len(names)

    def news(self) -> tuple[list[Piece], list[tuple[int, int]]]:
        """None: what is a duplicate is INGEST's to know."""
        return [], []

    def resume(self, progress: StageProgress, pieces: Iterable[Piece], labels: Mapping[str, bytes]) -> None:
        """See ``saved_state.Savable``."""
        self.high_water = dict(progress.marks)
        self.merchants.set_clock(progress.clock)
