"""What the two stages with state have in common: recovery, saving and projecting around whatever a turn does."""

import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from streams.delivery.isolation import process_but_culprits
from streams.delivery.kafka_delivery import Delivery, Send
from streams.delivery.kafka_states import PartitionStates, StateRecord
from streams.kafka.log import KafkaLog
from streams.kafka.positions import Positions
from streams.kafka.producer import Membership
from streams.messages.record import Record, SourcePosition
from streams.messages.topics import TRANSACTIONS
from streams.metrics.catalogue import Metric
from streams.metrics.prometheus_collectors import Value
from streams.online.feast_projector import Projector
from streams.state.saved_state import Savable

logger = logging.getLogger(__name__)

State = TypeVar("State", bound=Savable)
Outcome = TypeVar("Outcome")


class StatefulStage(ABC, Generic[State]):
    """A ``partitions.StageWorker`` but for ``process``. It owns the connections that it is given and closes them at its end."""

    def __init__(self, log: KafkaLog, delivery: Delivery, projector: Projector | None, states: PartitionStates[State]) -> None:
        self._log, self._delivery, self._projector, self._states = log, delivery, projector, states
        self.counts: Counter[str] = Counter()

    @abstractmethod
    def process(self, records: Mapping[int, Sequence[Record]]) -> Positions:
        """See ``partitions.StageWorker``."""

    def ready(self) -> bool:
        """Always."""
        return True

    def open(self, partitions: Collection[int], membership: Membership) -> Positions:
        """Recovers the partitions' states."""
        positions = self._states.open(partitions, membership)
        self._delivery.open(positions, membership)
        for records in self._states.unknown():
            self._delivery.save(records)
        return positions

    def tick(self) -> Positions:
        """Saves and projects if it is time."""
        safe = self._delivery.save(self._states.due())
        self._states.project(self._projector)
        return safe

    def close(self) -> Positions:
        """Saves what isn't saved yet."""
        safe = self.tick()
        for records in self._states.rest():
            self._delivery.save(records)
        self._states.release(self._projector)
        return safe

    def figures(self) -> Iterator[tuple[Metric, Value]]:
        """How the online store follows; see ``stage_metrics.Measured``."""
        if self._projector is not None:
            yield from self._projector.figures()

    def end(self) -> None:
        """Closes the connections."""
        if self._projector is not None:
            self._projector.close()
        self._delivery.close()
        self._log.close()

    def _finish(self, send: Send, positions: Positions, changed: Sequence[StateRecord] = ()) -> Positions:
        """Ends a turn that took the partitions to these ``positions``: sends, saves what ``changed`` and what is due, projects."""
        safe = self._delivery.deliver(send, positions, [*changed, *self._states.due()])
        self._states.project(self._projector)
        return safe

    def _without_culprits(
        self,
        partitions: Collection[int],
        size: int,
        attempt: Callable[[int, int], Outcome],
        place_of: Callable[[int], tuple[int, SourcePosition]],
        failure: Exception,
    ) -> Outcome:
        """What ``attempt(0, size)`` returns once the items at fault are refused; it has failed once before, with ``failure``. ``place_of``
        an item: the partition whose state is to refuse it, and its position on ``transactions``. Raises what no record is at fault for."""

        def give_up(number: int, error: Exception) -> None:
            partition, place = place_of(number)
            logger.error("gave up %s[%d] offset %d: %s", TRANSACTIONS.name, *place, error, exc_info=error)
            # A successor must refuse it too, so that is on record before anything is sent.
            self._delivery.save([self._states.fail(partition, place)])

        return process_but_culprits(size, attempt, lambda: self._states.undo(partitions), give_up, failure)
