"""What a partition of ``transactions.by-merchant`` has taught SCORE."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from features.definitions import FeatureSet
from features.state import EntityState
from streams.messages.record import SourcePosition
from streams.state.duplicates import Piece
from streams.state.saved_state import StageProgress


class Gap(NamedTuple):
    """Rows of a source partition that are missing: some of those behind ``applied`` and before or at ``first``. The rows at ``first`` and
    at ``last``, and others between them, were left out, so whoever fills the gap sends them again."""

    applied: int
    first: int
    last: int


@dataclass
class ScoreState:
    """All that a partition of ``transactions.by-merchant`` has taught: merchants, and the last offset applied of each source partition.

    ``partitions`` and ``sources`` are how many partitions that topic and ``transactions`` have, ``currency`` is the deployment's. ``gaps``
    are those that are open, by source partition. ``ahead`` and ``failed``: see ``saved_state.Savable``.
    """

    feature_set: FeatureSet
    partitions: int
    sources: int
    currency: str
    merchants: EntityState = field(init=False)
    high_water: dict[int, int] = field(init=False, default_factory=dict)
    gaps: dict[int, Gap] = field(init=False, default_factory=dict)
    ahead: dict[str, int] = field(init=False, default_factory=dict)
    failed: set[SourcePosition] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.merchants = EntityState(self.feature_set, "merchant", sources=self.sources)

    @property
    def entity(self) -> EntityState:
        """The merchants."""
        return self.merchants

    def note_gap(self, source: int, last: int) -> None:
        """Rows up to this offset were left out, for others are missing before them."""
        known = self.gaps.get(source)
        self.gaps[source] = (
            Gap(self.high_water.get(source, -1), last, last) if known is None else known._replace(last=max(known.last, last))
        )

    def close_filled_gaps(self) -> None:
        """Forgets the gaps that were filled; of one that was filled in part the rest stays open."""
        for source, gap in list(self.gaps.items()):
            applied = self.high_water.get(source, -1)
            if applied >= gap.last:
                del self.gaps[source]
            elif applied >= gap.first:
                self.gaps[source] = Gap(applied, gap.last, gap.last)

    def progress(self) -> StageProgress:
        """See ``saved_state.Savable``."""
        return StageProgress(self.partitions, self.sources, dict(self.high_water), self.merchants.clock, self.currency, dict(self.gaps))

    def labels(self, names: Sequence[str], since: int) -> list[bytes]:
        """None: which label counts is INGEST's to know."""
        return [b""] * len(names)

    def news(self) -> tuple[list[Piece], list[tuple[int, int]]]:
        """None: what is a duplicate is INGEST's to know."""
        return [], []

    def memory(self) -> Iterable[Piece]:
        """None, as ``news``."""
        return ()

    def resume(self, progress: StageProgress, pieces: Iterable[Piece], labels: Mapping[str, bytes]) -> None:
        """See ``saved_state.Savable``."""
        self.high_water = dict(progress.marks)
        self.gaps = {source: Gap(*gap) for source, gap in progress.gaps.items()}
        self.merchants.set_clock(progress.clock)
