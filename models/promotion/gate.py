"""The gate: may a candidate serve? What it looks at, and the verdict."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from features.arrays import Bool, Int64
from features.definitions import FeatureSet
from models.promotion.comparison import LIMITS, Comparison
from models.training_set.rows import TrainingSet


class Latency(msgspec.Struct, frozen=True):
    """Medians: ``one_ms`` for one row alone, ``each_us`` for each of a thousand at once."""

    one_ms: float
    each_us: float


_SLOWER = 1.5
RowsOf = Callable[[FeatureSet], TrainingSet]
"""The rows to compare on as a feature set sees them; the same rows, in the same order, for every set."""


@dataclass(frozen=True)
class ComparisonRows:
    """Rows to compare on, and which of them count given what the models have learnt from: ``chosen(event_time, trained_to)``; see
    ``models.promotion.gate_rows``."""

    rows_of: RowsOf
    chosen: Callable[[Int64, int | None], Bool]


@dataclass(frozen=True)
class Force:
    """Who lets a version pass the gate despite its objections, and why."""

    author: str
    reason: str


class Overlooked(msgspec.Struct, frozen=True):
    """What the auditor has against it, and who chose not to heed that."""

    author: str
    audit: str


class GateVerdict(msgspec.Struct, frozen=True):
    """The gate's verdict on a version for a role: its objections, in words, and what they rest on. A refit rests on how the
    version ``validated`` compares. ``audit`` is the auditor's sentence, for it or against it, None where it wasn't asked. What was
    ``overlooked`` is none of the objections, but on record."""

    version: str
    role: str
    champion: str | None
    at: str
    objections: tuple[str, ...]
    comparison: Comparison | None = None
    latency: Latency | None = None
    champion_latency: Latency | None = None
    validated: str | None = None
    audit: str | None = None
    overlooked: Overlooked | None = None

    @property
    def passed(self) -> bool:
        """Whether there is no objection."""
        return not self.objections


def too_slow(ours: Latency, theirs: Latency) -> list[str]:
    """The objections to a candidate of ``ours`` beside a champion of ``theirs``, a sentence each."""
    # On a busy machine the champion is slow too.
    one, each = max(LIMITS.one_ms, _SLOWER * theirs.one_ms), max(LIMITS.each_us, _SLOWER * theirs.each_us)
    found = [f"it takes {ours.one_ms:.1f} ms for one transaction, more than {one:.1f} ms"] * (ours.one_ms > one)
    return found + [f"it takes {ours.each_us:.0f} µs for each of a thousand transactions, more than {each:.0f} µs"] * (ours.each_us > each)


def with_objections(verdict: GateVerdict, objections: Sequence[str]) -> GateVerdict:
    """The verdict with more objections, in words."""
    return msgspec.structs.replace(verdict, objections=(*verdict.objections, *objections))
