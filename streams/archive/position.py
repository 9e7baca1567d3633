"""How far an archive has come, as its table says and as Spark's checkpoint says, and whether the two belong together."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from features.errors import UserError

Offsets = Mapping[int, int]
"""The next offset to archive, by partition."""


@dataclass(frozen=True)
class CheckpointPosition:
    """Where a checkpoint stands: after so many whole ``batches`` at ``done``, and in a batch that ends at ``planned`` if one was begun."""

    batches: int
    done: Offsets
    planned: Offsets | None = None


def offsets_in(text: str, topic: str) -> Offsets:
    """The offsets in a file of Spark's checkpoint, whose last line is ``{topic: {partition: offset}}``. Raises ValueError for another."""
    line = text.strip().rpartition("\n")[2]
    try:
        return {int(partition): int(offset) for partition, offset in json.loads(line)[topic].items()}
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{line[:200]!r} are no offsets of {topic}") from None


def as_starting_offsets(topic: str, held: Offsets, partitions: int) -> str:
    """Where Spark is to begin: where the table ends, and where it has nothing of a partition at its beginning."""
    earliest = -2
    return json.dumps({topic: {str(partition): held.get(partition, earliest) for partition in range(partitions)}})


def require_agreement(topic: str, table: str, held: Offsets, checkpoint: str, position: CheckpointPosition) -> None:
    """Raises UserError unless the checkpoint goes on where the table, which holds what lies before ``held``, ends."""
    if held == position.done or held == position.planned or not (held or position.batches):
        return
    if not held:
        raise UserError(
            f"the checkpoint {checkpoint} says that {topic} was archived up to {_said(position.done)}, but the table {table} is gone: "
            "put it back; or remove the checkpoint, and all that the topic still has is archived anew"
        )
    raise UserError(
        f"the table {table} holds {topic} up to {_said(held)}, but its checkpoint {checkpoint} is at {_said(position.done)}: "
        "one of them was replaced; remove the checkpoint, and the archive goes on where the table ends"
    )


def _said(offsets: Offsets) -> str:
    return ", ".join(f"{partition}:{offset}" for partition, offset in sorted(offsets.items()))
