"""Reading a topic's partition again: from where, up to where, and what a stage had committed."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from features.errors import UserError
from streams.kafka.client import TIMESTAMP_LOG_APPEND_TIME, KafkaClients, KafkaError, KafkaException, Message, TopicPartition
from streams.messages.record import UNSTAMPED, LogRecord
from streams.messages.topics import STAMPED

# Longer than a broker takes to abort the transaction that a killed process left open.
_TIMEOUT_S = 30
# So many at once, or what has come within this time.
_BATCH, _WAIT_S = 5_000, 0.03

# A broker that has just started, a group that moves or a topic that was just created is answered for so, for a moment.
_PASSING = {
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}
_Answer = TypeVar("_Answer")


def record_of(message: Message) -> LogRecord:
    """A consumed message without error as a record."""
    stamp, timestamp = message.timestamp()
    if stamp != TIMESTAMP_LOG_APPEND_TIME and message.topic() in STAMPED:
        timestamp = UNSTAMPED
    # Offset and headers are typed for every kind of message; this one was consumed. ``cast`` would be a call more for each.
    return LogRecord(
        message.offset(),  # type: ignore[arg-type]
        timestamp,
        message.key(),
        message.value(),
        message.headers() or [],  # type: ignore[arg-type]
    )


class KafkaLog:
    """A consumer of one group's log that never joins the group. Close it after use.

    It sees committed records only, and the end of these, unless ``committed_only`` is false. It holds ``ahead_kb`` of what comes next.
    """

    def __init__(self, kafka: KafkaClients, group: str, *, committed_only: bool = True, ahead_kb: int = 65_536) -> None:
        self.group = group
        self._consumer = kafka.consumer(
            {
                "group.id": group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "isolation.level": "read_committed" if committed_only else "read_uncommitted",
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                # Nobody tails a log with this: what it waits for is to hear that there is no more.
                "fetch.wait.max.ms": 10,
                "queued.max.messages.kbytes": ahead_kb,
            }
        )

    def committed(self, topic: str, partition: int) -> int | None:
        """The group's next offset to process, None before the first commit; waits for a transaction under way to end."""
        found = self._patiently(lambda: self._consumer.committed([TopicPartition(topic, partition)], timeout=_TIMEOUT_S)[0])
        return found.offset if found.offset >= 0 else None

    def positions(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """The group's next offset to process of each partition; the first that is kept before its first commit. Waits as ``committed``.

        Raises UserError if the log has lost records that were not processed.
        """
        return {partition: self._position(topic, partition) for partition in partitions}

    def _position(self, topic: str, partition: int) -> int:
        begin, _ = self.bounds(topic, partition)
        position = self.committed(topic, partition)
        if position is not None and position < begin:
            raise UserError(
                f"{topic}[{partition}] begins at offset {begin}, but group {self.group} has only processed what lies before {position}: "
                f"retention has removed {begin - position} offsets unread; raise retention.ms of {topic}, replay what was removed from an "
                f"archive if you have one, and set the group's offset of this partition to {begin}"
            )
        return begin if position is None else position

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset that is kept, and the last stable offset (the end of what is committed)."""
        return self._patiently(lambda: self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_TIMEOUT_S))

    def read(self, topic: str, partition: int, begin: int, end: int) -> Iterator[list[LogRecord]]:
        """Yields the records with offsets from ``begin`` up to before ``end``, in order, some thousand at a time.

        Raises UserError if the log no longer has ``begin``.
        """
        if begin >= end:
            return
        self._consumer.assign([TopicPartition(topic, partition, begin)])
        try:
            position = begin
            while position < end:
                records = []
                for message in self._consumer.consume(_BATCH, timeout=_WAIT_S):
                    error = message.error()
                    # The log may end in markers of transactions, which have offsets but are no records.
                    if error is not None and error.code() == KafkaError._PARTITION_EOF:
                        position = end
                    elif error is not None:
                        raise UserError(
                            f"{topic}[{partition}] can't be read from offset {begin} ({error.str()}); what the state needs is "
                            "no longer in the log: raise the topic's retention and start from an empty state"
                        )
                    elif (record := record_of(message)).offset < end:
                        records.append(record)
                        position = record.offset + 1
                    else:
                        position = end
                if records:
                    yield records
        finally:
            self._consumer.unassign()

    def newest(self, topic: str, partition: int) -> dict[bytes, bytes]:
        """The newest value of each key that a partition of a compacted topic holds; keys that were removed are not among them."""
        found: dict[bytes, bytes] = {}
        for records in self.read(topic, partition, *self.bounds(topic, partition)):
            for record in records:
                if record.value is None:
                    found.pop(record.key or b"", None)
                else:
                    found[record.key or b""] = record.value
        return found

    def leader(self, topic: str, partition: int) -> tuple[str, int]:
        """Host and port of the broker that leads a partition."""
        found = self._consumer.list_topics(topic, timeout=_TIMEOUT_S)
        broker = found.brokers[found.topics[topic].partitions[partition].leader]
        return broker.host, broker.port

    def has_records(self, topic: str, partition: int, begin: int) -> bool:
        """Whether any committed record lies at or after ``begin``."""
        _, end = self.bounds(topic, partition)
        return next(self.read(topic, partition, begin, end), None) is not None

    def _patiently(self, ask: Callable[[], _Answer]) -> _Answer:
        deadline = time.monotonic() + _TIMEOUT_S
        while True:
            try:
                answer = ask()
                error = getattr(answer, "error", None)
                if error is None:
                    return answer
            except KafkaException as raised:
                error = raised.args[0]
            if error.code() not in _PASSING or time.monotonic() > deadline:
                raise KafkaException(error)
            time.sleep(0.2)

    def close(self) -> None:
        """Lets go of the connection."""
        self._consumer.close()
