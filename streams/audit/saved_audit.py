"""What an audit that found nothing knows at its end: from there the next goes on, though the logs lose what came before.

That is what the logs had taught by then, and what was under way between them. Nothing of the decisions that are settled is kept but how
many there were.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from streams.audit.comparison import SavedComparison
from streams.audit.completeness import SavedCompleteness
from streams.audit.recomputation import SavedRecomputation, StateAt


class Accepted(msgspec.Struct, frozen=True):
    """What an audit found and somebody has answered for: ``causes`` by name, who and why, and when (ISO 8601)."""

    at: str
    by: str
    reason: str
    causes: dict[str, int]


class AuditedSoFar(msgspec.Struct, frozen=True, kw_only=True):
    """How far audits have come, one after the other, that found nothing but what was ``accepted``, and what of.

    ``at`` is when the last of them ended (ISO 8601), ``audits`` how many there were, ``audited`` how many decisions they have made again.
    ``positions`` are the next offsets of each topic's partitions, ``topic_ids`` tell the topics from others of these names, ``settled`` is
    the offset of each partition of ``transactions`` before which nothing is open.
    """

    at: str
    audits: int
    audited: int
    features: str
    features_digest: str
    currency: str
    code_digest: str
    positions: dict[str, list[int]]
    topic_ids: dict[str, str]
    settled: dict[int, int]
    accepted: list[Accepted] = []


class SavedAudit(NamedTuple):
    """All of it."""

    so_far: AuditedSoFar
    recomputation: SavedRecomputation
    comparison: SavedComparison
    completeness: SavedCompleteness


class Beginning(NamedTuple):
    """From where logs can be gone over once more: the next offsets of ``transactions`` (``learned``) and of ``transactions.by-merchant``
    (``ordered``), by partition, and what gives all that is known there; nothing is where the logs begin."""

    learned: Sequence[int]
    ordered: Sequence[int]
    load: Callable[[], SavedRecomputation | None]

    @property
    def is_of_logs(self) -> bool:
        """Whether all of the logs lies behind it."""
        return not any((*self.learned, *self.ordered))

    def is_before(self, state: StateAt) -> bool:
        """Whether a state can be found from here."""
        return (self.learned if state.entity == "user" else self.ordered)[state.partition] <= state.offset + 1


def beginning_of_logs(sources: int, targets: int) -> Beginning:
    """Where logs of so many partitions begin that have lost nothing."""
    return Beginning([0] * sources, [0] * targets, lambda: None)


def differs_in(
    so_far: AuditedSoFar, features_digest: str, currency: str, partitions: Mapping[str, int], topic_ids: Mapping[str, str]
) -> str:
    """Why audits of a deployment with these facts can't go on from there, "" if they can; ``partitions`` by topic, of those without which
    nothing can be recomputed."""
    if so_far.features_digest != features_digest:
        return "the feature set has changed"
    if so_far.currency != currency:
        return f"it is of amounts in {so_far.currency}"
    others = [topic for topic in created_again(so_far, topic_ids) if topic in partitions]
    if others:
        return f"{' and '.join(others)} {'were' if len(others) > 1 else 'was'} created again since"
    grown = [topic for topic, count in partitions.items() if count != len(so_far.positions[topic])]
    return f"{' and '.join(grown)} had another number of partitions" if grown else ""


def created_again(so_far: AuditedSoFar, topic_ids: Mapping[str, str]) -> list[str]:
    """The topics that are no longer those of the audit."""
    return [topic for topic, id_ in so_far.topic_ids.items() if topic_ids.get(topic) != id_]
