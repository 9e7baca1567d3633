"""A log in memory, for tests that need no broker. What it shares with the real one is in its contract's test."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import structs

from streams.messages.record import LogRecord
from streams.messages.seal import Seal


class LogInMemory:
    """Topics by name, each a list of partitions. ``at_once``: how many records a list of ``read`` has at most."""

    def __init__(self, topics: Mapping[str, Sequence[Sequence[LogRecord]]], at_once: int = 1) -> None:
        self._topics = {name: [list(records) for records in partitions] for name, partitions in topics.items()}
        self._at_once = at_once

    def append(self, topic: str, partition: int, records: Iterable[LogRecord]) -> None:
        """Adds records behind those that are there, with the offsets that follow."""
        log = self._topics[topic][partition]
        for record in records:
            log.append(structs.replace(record, offset=log[-1].offset + 1 if log else 0))

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset, and the one after the last."""
        log = self._topics[topic][partition]
        return (log[0].offset, log[-1].offset + 1) if log else (0, 0)

    def read(self, topic: str, partition: int, begin: int, end: int) -> Iterator[list[LogRecord]]:
        """The records with offsets from ``begin`` up to before ``end``."""
        found = [record for record in self._topics[topic][partition] if begin <= record.offset < end]
        for at in range(0, len(found), self._at_once):
            yield found[at : at + self._at_once]

    def newest(self, topic: str, partition: int, seal: Seal) -> dict[bytes, bytes]:
        """The newest value of each key; keys that were removed are not among them, nor what carries no seal."""
        found: dict[bytes, bytes] = {}
        for record in self._topics[topic][partition]:
            if not seal.is_ours(topic, partition, record):
                continue
            if record.value is None:
                found.pop(record.key or b"", None)
            else:
                found[record.key or b""] = record.value
        return found

    def has_records(self, topic: str, partition: int, begin: int) -> bool:
        """Whether any record lies at or after ``begin``."""
        return self.bounds(topic, partition)[1] > begin
