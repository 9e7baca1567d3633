"""What MONITOR's two stages have in common: a small state a partition, kept whole with each step, in one transaction with what is sent."""

import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from streams.config import DeploymentConfig
from streams.delivery.kafka_delivery import ExactlyOnce, Send
from streams.delivery.kafka_states import StateRecord
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.kafka.out_of_range import require_within
from streams.kafka.positions import Positions
from streams.kafka.producer import Membership
from streams.messages.record import Record
from streams.messages.seal import Seal
from streams.messages.topics import Topic

logger = logging.getLogger(__name__)

State = TypeVar("State")
KEY = b"kept"


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """A partition's state as of ``position`` in the topic with this id, in the format of this ``version``."""

    version: int
    source_id: str
    position: int
    state: bytes


_VERSION = 1
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Kept).decode


class KeptStage(ABC, Generic[State]):
    """A ``partitions.StageWorker`` but for ``process`` and ``tick``. The position that is kept with a state is where it goes on, whatever
    the group's may say: so another tool that moves that does no harm.

    What retention has removed unread is left out, and said: what watches must not be stopped by what can't be watched any more.
    """

    def __init__(self, config: DeploymentConfig, stage: str, source: Topic, states: Topic) -> None:
        self._source, self._topic = source, states
        self._seal = Seal(config.answer_key)
        clients = KafkaClients.of(config)
        self._log = KafkaLog(clients, config.group(stage))
        self._delivery = ExactlyOnce(clients, config.group(stage), source, states, self._seal)
        self._states: dict[int, State] = {}
        self._source_id = ""
        self.positions: dict[int, int] = {}
        self.counts: Counter[str] = Counter()

    @abstractmethod
    def _restored(self, encoded: bytes | None) -> State:
        """The state that ``_encoded`` gave; None: a new one."""

    @abstractmethod
    def _encoded(self, state: State) -> bytes:
        """The state as bytes."""

    @abstractmethod
    def process(self, records: Mapping[int, Sequence[Record]]) -> Positions:
        """See ``partitions.StageWorker``."""

    def ready(self) -> bool:
        """Always."""
        return True

    def tick(self) -> Positions:
        """Nothing was put off."""
        return {}

    def open(self, partitions: Collection[int], membership: Membership) -> Positions:
        """Takes up what was kept of each partition, once no former owner's transaction is under way."""
        self._source_id = self._log.topic_id(self._source.name) or ""
        self._states, self.positions = {}, {}
        for number in partitions:
            self._log.committed(self._source.name, number)
            kept = self._kept(number)
            self._states[number] = self._restored(None if kept is None else kept.state)
            self.positions[number] = self._position(number, kept)
        self._delivery.open(self.positions, membership)
        return dict(self.positions)

    def close(self) -> Positions:
        """Nothing is under way."""
        return {}

    def end(self) -> None:
        """Closes the connections."""
        self._delivery.close()
        self._log.close()

    def _commit(self, send: Send, positions: Positions) -> Positions:
        """Sends, and keeps the states of these partitions as of these positions, all at once or not at all."""
        self.positions |= positions
        kept = [
            StateRecord(number, KEY, _encode(Kept(_VERSION, self._source_id, position, self._encoded(self._states[number]))))
            for number, position in positions.items()
        ]
        return self._delivery.deliver(send, positions, kept)

    def _kept(self, number: int) -> Kept | None:
        found = self._log.newest(self._topic.name, number, self._seal).get(KEY)
        kept = None if found is None else _decode(found)
        if kept is not None and kept.version != _VERSION:
            logger.warning("what is kept in %s[%d] is of another version of Tidemark; it begins anew", self._topic.name, number)
            return None
        return kept

    def _position(self, number: int, kept: Kept | None) -> int:
        """Where to go on. Raises UserError if the log has lost its end."""
        where = f"{self._source.name}[{number}]"
        begin, _ = self._log.bounds(self._source.name, number)
        if kept is None or (kept.source_id and self._source_id and kept.source_id != self._source_id):
            return begin
        if kept.position < begin:
            logger.warning("%s begins at offset %d; what lay there from %d on was removed unread", where, begin, kept.position)
            self.counts["lost"] += begin - kept.position
            return begin
        require_within(where, f"{self._topic.name}[{number}]", kept.position, lambda: (0, self._log.bounds(self._source.name, number)[1]))
        return kept.position
