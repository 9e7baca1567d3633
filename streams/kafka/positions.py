"""Where a group stands in a topic."""

from collections.abc import Mapping, Sequence

from streams.messages.record import Record

Positions = Mapping[int, int]
"""The next offset to process, by partition."""


def reached(records: Mapping[int, Sequence[Record]]) -> dict[int, int]:
    """The next offset to process of each partition, once these records are."""
    return {partition: read[-1].offset + 1 for partition, read in records.items()}
