"""Where a group stands in a topic, and who says so.

Kafka keeps a short text with a committed offset. Ours names the offset itself, so that one which another tool has set, whether it left
that text empty or carried ours along, is known from those that a stage has reached.
"""

from collections.abc import Mapping, Sequence

from streams.kafka.client import TopicPartition
from streams.messages.record import Record

Positions = Mapping[int, int]
"""The next offset to process, by partition."""


def reached(records: Mapping[int, Sequence[Record]]) -> dict[int, int]:
    """The next offset to process of each partition, once these records are."""
    return {partition: read[-1].offset + 1 for partition, read in records.items()}


def signature(position: int) -> str:
    """The text that Tidemark commits with this offset."""
    return f"tidemark:{position}"


def terminated_signature(position: int) -> str:
    """The same for clients that send a text as it is, as aiokafka does. librdkafka's for Python takes what it reads back for a C string,
    and so sends the byte that ends one along; without it one would read on into whatever lies behind."""
    return f"{signature(position)}\0"


def signed(topic: str, positions: Positions) -> list[TopicPartition]:
    """The positions as they are committed."""
    return [TopicPartition(topic, partition, position, signature(position)) for partition, position in positions.items()]
