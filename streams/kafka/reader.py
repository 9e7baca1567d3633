"""Reads a stage's partitions: librdkafka fetches, unpacks and checks records in threads that need no Python.

aiokafka does that in Python, on the interpreter that the stage needs; a fetch alone costs it nearly a millisecond.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from streams.kafka.client import KafkaClients, KafkaError, TopicPartition
from streams.kafka.log import record_of
from streams.kafka.out_of_range import require_within
from streams.kafka.positions import reached
from streams.messages.record import LogRecord

logger = logging.getLogger(__name__)

_PARTITION_BYTES = 4 << 20
_MOST_KB = 16 << 10
_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Fetching:
    """When a fetch is answered, for all partitions at once: with ``worthwhile`` bytes, or after ``wait_s``. What comes within ``gather_s``
    of its first records is taken with them, and so is what comes while a turn is under way, up to ``hold_s``: a fetch costs the stage
    nearly as much as a small turn, and can't be taken up before the turn ends. It gives at most ``most`` records."""

    wait_s: float
    most: int
    worthwhile: int = 256 << 10
    # The partitions of one answer are handed on one after the other.
    gather_s: float = 0.0002
    hold_s: float = 0.02


class PartitionReader:
    """Reads committed records of one topic's partitions. It joins no group and commits nothing. For one thread at a time."""

    def __init__(self, kafka: KafkaClients, group: str, topic: str, fetching: Fetching) -> None:
        self._topic, self._group = topic, group
        self._most = fetching.most
        self._positions: dict[int, int] = {}
        self._consumer = kafka.consumer(
            {
                "group.id": group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "isolation.level": "read_committed",
                # To go on elsewhere would leave records out in silence.
                "auto.offset.reset": "error",
                "check.crcs": True,
                "fetch.wait.max.ms": max(1, round(fetching.wait_s * 1000)),
                "fetch.min.bytes": fetching.worthwhile,
                "fetch.message.max.bytes": _PARTITION_BYTES,
                "queued.min.messages": fetching.most,
                "queued.max.messages.kbytes": _MOST_KB,
                # How long a partition of which enough is queued isn't fetched: by default a second.
                "fetch.queue.backoff.ms": 1,
                "log_level": 3,
            }
        )

    def read(self, positions: Mapping[int, int], timeout: float, gather: Callable[[], object]) -> dict[int, list[LogRecord]]:
        """The next records from these offsets on, by partition; nothing if none come within ``timeout`` s. What follows the first of them
        until ``gather`` returns is taken too.

        It is quick if the positions are those behind what was read last. Raises UserError if the log doesn't have one of them.
        """
        if positions != self._positions:
            self._consumer.assign([TopicPartition(self._topic, number, position) for number, position in positions.items()])
            self._positions = dict(positions)
        first = self._consumer.poll(timeout)
        if first is None:
            return {}
        gather()
        found: dict[int, list[LogRecord]] = {number: [] for number in positions}
        out_of_range = False
        for message in (first, *self._consumer.consume(self._most - 1, 0)):
            error = message.error()
            if error is None:
                found[message.partition()].append(record_of(message))  # type: ignore[index]
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                out_of_range = True
            else:
                # What passes is tried again; a position that stands still is noticed by the watchdog.
                logger.info("reading %s: %s", self._topic, error)
        found = {number: records for number, records in found.items() if records}
        self._positions |= reached(found)
        if out_of_range:
            self._require_kept()
        return found

    def _require_kept(self) -> None:
        """Has all be fetched again if the broker has by now what it did not have a moment ago. Raises UserError if it hasn't."""
        for number, position in self._positions.items():
            part = TopicPartition(self._topic, number)
            require_within(
                f"{self._topic}[{number}]",
                f"group {self._group}",
                position,
                lambda part=part: self._consumer.get_watermark_offsets(part, timeout=_TIMEOUT_S),  # type: ignore[misc]
            )
        self._positions = {}

    def close(self) -> None:
        """Lets go of the connection."""
        self._consumer.close()
