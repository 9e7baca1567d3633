"""Reading a topic's partition again: from where, up to where, and what a stage had committed."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from operator import methodcaller
from typing import TypeVar

from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient

from features.errors import START_OVER, UnavailableError, UserError
from streams.kafka.client import TIMESTAMP_LOG_APPEND_TIME, KafkaClients, KafkaError, KafkaException, Message, TopicPartition
from streams.kafka.out_of_range import require_within
from streams.kafka.positions import Positions, signature, signed
from streams.messages.record import UNSTAMPED, LogRecord
from streams.messages.seal import Seal
from streams.messages.topics import STAMPED

logger = logging.getLogger(__name__)

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
# The log no longer has, or not yet, what is asked for; whatever else stops a reader may pass.
_BEYOND = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._NO_OFFSET}
_Answer = TypeVar("_Answer")
# By a name that isn't UTF-8 the library returns a result and sets an error besides: of a call in Python's own bytecode the interpreter may
# notice that only lines later, of one by C it does at once.
_headers = methodcaller("headers")


def record_of(message: Message) -> LogRecord:
    """A consumed message without error as a record.

    A header whose name isn't UTF-8 leaves the record without headers: none of ours is such, and the library reads all or none.
    """
    try:
        headers = _headers(message) or []
    except SystemError as error:
        if not isinstance(error.__cause__, UnicodeDecodeError):
            raise
        headers = []
    stamp, timestamp = message.timestamp()
    if stamp != TIMESTAMP_LOG_APPEND_TIME and message.topic() in STAMPED:
        timestamp = UNSTAMPED
    # Offset and headers are typed for every kind of message; this one was consumed. ``cast`` would be a call more for each.
    return LogRecord(
        message.offset(),  # type: ignore[arg-type]
        timestamp,
        message.key(),
        message.value(),
        headers,
    )


class KafkaLog:
    """A consumer of one group's log that never joins the group. Close it after use.

    It sees committed records only, and the end of these, unless ``committed_only`` is false. It holds ``ahead_kb`` of what comes next.
    """

    def __init__(self, kafka: KafkaClients, group: str, *, committed_only: bool = True, ahead_kb: int = 65_536) -> None:
        self.group = group
        self._kafka = kafka
        self._admin: AdminClient | None = None
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
        return self._committed(topic, partition)[0]

    def is_ours(self, topic: str, partition: int) -> bool:
        """Whether the group's offset was committed by Tidemark; also if there is none."""
        position, text = self._committed(topic, partition)
        return position is None or text == signature(position)

    def _committed(self, topic: str, partition: int) -> tuple[int | None, str]:
        found = self._patiently(lambda: self._consumer.committed([TopicPartition(topic, partition)], timeout=_TIMEOUT_S)[0])
        try:
            text = found.metadata or ""
        except UnicodeDecodeError:  # another tool's, with whatever lies behind it
            text = ""
        return (found.offset if found.offset >= 0 else None), text

    def positions(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """The group's next offset to process of each partition; the first that is kept before its first commit. Waits as ``committed``.

        Raises UserError if another tool has set one, or if the log doesn't have it: it has lost its end, or records that weren't processed.
        """
        return {partition: self._position(topic, partition) for partition in partitions}

    def _position(self, topic: str, partition: int) -> int:
        position, text = self._committed(topic, partition)
        if position is None:
            return self.bounds(topic, partition)[0]
        where, whose = f"{topic}[{partition}]", f"group {self.group}"
        if text != signature(position):
            raise UserError(
                f"{whose}'s offset {position} of {where} was not set by this version of Tidemark: records before it may not be processed, "
                "or others be processed twice; stop all workers and set it to where the stage was with `tidemark offsets restore`"
            )
        require_within(where, whose, position, lambda: self.bounds(topic, partition))
        return position

    def commit(self, topic: str, positions: Positions) -> None:
        """Sets the group's offsets, which nobody may be using. Raises KafkaException if the group has members."""
        for done in self._consumer.commit(offsets=signed(topic, positions), asynchronous=False) or ():
            if done.error is not None:
                raise KafkaException(done.error)

    def topic_id(self, topic: str) -> str | None:
        """What tells a topic from one of the same name that is created after it, "" if the broker has no such thing; None if there is no
        topic of that name."""
        if self._admin is None:
            self._admin = self._kafka.admin({"log_level": 0})
        (asked,) = self._admin.describe_topics(TopicCollection([topic]), request_timeout=_TIMEOUT_S).values()
        try:
            found = asked.result().topic_id
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return None
            raise
        return "" if found.get_most_significant_bits() == found.get_least_significant_bits() == 0 else str(found)

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset that is kept, and the last stable offset (the end of what is committed)."""
        return self._patiently(lambda: self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_TIMEOUT_S))

    def offset_at(self, topic: str, partition: int, timestamp: int) -> int:
        """The first offset whose record is stamped with this time (ms) or a later one; the end if there is none."""
        (found,) = self._consumer.offsets_for_times([TopicPartition(topic, partition, timestamp)], timeout=_TIMEOUT_S)
        return found.offset if found.offset >= 0 else self.bounds(topic, partition)[1]

    def read(self, topic: str, partition: int, begin: int, end: int) -> Iterator[list[LogRecord]]:
        """Yields the records with offsets from ``begin`` up to before ``end``, in order, some thousand at a time.

        Raises UserError if the log no longer has ``begin``, UnavailableError if it can't be read now.
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
                    elif error is not None and error.code() not in _BEYOND:
                        raise UnavailableError(
                            f"{topic}[{partition}] can't be read ({error.str()}); see that Kafka runs and can be reached"
                        )
                    elif error is not None:
                        raise UserError(
                            f"{topic}[{partition}] can't be read from offset {begin} ({error.str()}): what the state needs is no longer "
                            f"in the log; raise retention.ms of {topic}, and {START_OVER}"
                        )
                    elif (record := record_of(message)).offset < end:
                        records.append(record)
                        position = record.offset + 1
                    else:
                        position = end
                if records:
                    yield records
        finally:
            # It may be closed, where whoever reads was interrupted.
            with suppress(RuntimeError):
                self._consumer.unassign()

    def whole(self, topic: str, partition: int, end: int | None = None) -> Iterator[list[LogRecord]]:
        """As ``read``, of all that is kept before ``end`` (None: all that is committed), even if retention removes the first of it
        meanwhile."""
        begin, stable = self.bounds(topic, partition)
        end = stable if end is None else end
        while begin < end:
            try:
                for records in self.read(topic, partition, begin, end):
                    begin = records[-1].offset + 1
                    yield records
                return
            except UserError:
                first, _ = self.bounds(topic, partition)
                if first <= begin:
                    raise
                begin = first

    def newest(self, topic: str, partition: int, seal: Seal) -> dict[bytes, bytes]:
        """The newest value of each key that a partition of a compacted topic of ours holds; keys that were removed are not among them, nor
        what others wrote."""
        found: dict[bytes, bytes] = {}
        foreign = 0
        for records in self.whole(topic, partition):
            for record in records:
                if not seal.is_ours(topic, partition, record):
                    foreign += 1
                elif record.value is None:
                    found.pop(record.key or b"", None)
                else:
                    found[record.key or b""] = record.value
        if foreign:
            logger.warning("%d records of %s[%d] are ignored: this deployment did not write them", foreign, topic, partition)
        return found

    def leader(self, topic: str, partition: int) -> tuple[str, int]:
        """Host and port of the broker that leads a partition."""
        found = self._consumer.list_topics(topic, timeout=_TIMEOUT_S)
        broker = found.brokers[found.topics[topic].partitions[partition].leader]
        return broker.host, broker.port

    def brokers(self) -> list[tuple[str, int]]:
        """Host and port of each broker."""
        return [(broker.host, broker.port) for broker in self._consumer.list_topics(timeout=_TIMEOUT_S).brokers.values()]

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
