"""How a stage's records, its positions and its saved states become one whole: at least once, or exactly once.

Either way states are saved in transactions that commit the positions too, as a member of the group in one generation, so that a stalled
former owner can neither commit nor overwrite what its successor saved.
"""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from streams.delivery.kafka_states import StateRecord
from streams.kafka.client import KafkaClients
from streams.kafka.positions import Positions
from streams.kafka.producer import Membership, StageProducer
from streams.kafka.stall import StallWatch
from streams.messages.seal import Seal
from streams.messages.topics import Topic

# Waiting for acknowledgements costs a round trip, so it is done this often rather than for every turn.
_SETTLE_EVERY_S = 0.2
# Brokers abort a transaction after 6 s; one that isn't over by then will not be.
_COMMITTED_WITHIN_S = 15.0

Send = Callable[[StageProducer], None]


class Delivery(Protocol):
    """One of the two. What its methods return are positions that the caller is to commit as a member of the group."""

    def open(self, positions: Mapping[int, int], membership: Membership) -> None:
        """Begins a generation, in which the stage goes on from these positions."""

    def deliver(self, send: Send, positions: Positions, states: Sequence[StateRecord]) -> Positions:
        """Sends a turn's records and saves states; ``positions`` are the next offsets of the partitions that the turn took."""

    def save(self, states: Sequence[StateRecord]) -> Positions:
        """Saves states, if any, between turns."""

    def close(self) -> None:
        """Closes the connections."""


class AtLeastOnce:
    """Records are sent as they come, and positions follow once all are acknowledged: after a failure some are sent again."""

    def __init__(self, kafka: KafkaClients, group: str, source: Topic, states: Topic, seal: Seal) -> None:
        self._producer = StageProducer(kafka)
        self._saves = ExactlyOnce(kafka, group, source, states, seal)
        self._reached: dict[int, int] = {}
        self._settled: dict[int, int] = {}
        self._settled_at = 0.0

    def open(self, positions: Mapping[int, int], membership: Membership) -> None:
        """See ``Delivery``."""
        self._saves.open(positions, membership)
        self._reached, self._settled = dict(positions), dict(positions)

    def deliver(self, send: Send, positions: Positions, states: Sequence[StateRecord]) -> Positions:
        """See ``Delivery``. Acknowledgements are waited for now and then, and before states are saved."""
        send(self._producer)
        self._reached |= positions
        if not states and time.monotonic() < self._settled_at + _SETTLE_EVERY_S:
            return {}
        return self.save(states)

    def save(self, states: Sequence[StateRecord]) -> Positions:
        """See ``Delivery``. Acknowledgements are waited for first."""
        moved = self._settle()
        return self._saves.commit(None, self._settled, states) if states else moved

    def close(self) -> None:
        """See ``Delivery``."""
        self._saves.close()
        self._producer.close()

    def _settle(self) -> Positions:
        moved = {number: position for number, position in self._reached.items() if position != self._settled[number]}
        if moved:
            self._producer.flush()
            self._settled |= moved
            self._settled_at = time.monotonic()
        return moved


class ExactlyOnce:
    """Records, states and positions of a turn become visible at once or never, to those who read committed records."""

    def __init__(self, kafka: KafkaClients, group: str, source: Topic, states: Topic, seal: Seal) -> None:
        self._source, self._states, self._seal = source, states, seal
        # Nobody else's: a former owner is fenced by the group's generation, not by this.
        self._producer = StageProducer(kafka, transactional_id=f"{group}-{uuid.uuid4()}")
        self._producer.fence()
        self._membership: Membership | None = None
        self._positions: dict[int, int] = {}
        self._stall = StallWatch()

    def open(self, positions: Mapping[int, int], membership: Membership) -> None:
        """See ``Delivery``."""
        self._positions, self._membership = dict(positions), membership

    def deliver(self, send: Send, positions: Positions, states: Sequence[StateRecord]) -> Positions:
        """See ``Delivery``. There is never anything left for the caller to commit."""
        return self.commit(send, positions, states)

    def save(self, states: Sequence[StateRecord]) -> Positions:
        """See ``Delivery``. There is never anything left for the caller to commit."""
        return self.commit(None, self._positions, states) if states else {}

    def commit(self, send: Send | None, positions: Positions, states: Sequence[StateRecord]) -> Positions:
        """One transaction, of whatever there is to send, of states, and of positions (at least one)."""
        assert self._membership is not None
        self._positions |= positions
        with self._stall.within(_COMMITTED_WITHIN_S, f"a transaction of {self._source.name}'s stage"):
            self._producer.begin()
            if send is not None:
                send(self._producer)
            for record in states:
                seal = self._seal.header(self._states.name, record.partition, record.key, record.value)
                self._producer.send(self._states.name, record.value, record.key, record.partition, [seal])
            self._producer.add_positions(self._source.name, positions, self._membership)
            self._producer.commit()
        return {}

    def close(self) -> None:
        """See ``Delivery``."""
        with self._stall.within(_COMMITTED_WITHIN_S, "closing a producer"):
            self._producer.close()
        self._stall.close()
