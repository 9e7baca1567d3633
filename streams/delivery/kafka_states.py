"""The states of the partitions that a stage's process owns: recovered from Kafka when they are assigned, saved there while they change."""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from features.arrays import Int64
from features.errors import START_OVER, UserError
from features.windows import UNPROJECTED
from streams.kafka.log import KafkaLog
from streams.kafka.out_of_range import require_within
from streams.kafka.producer import Membership
from streams.messages.record import LogRecord, SourcePosition
from streams.messages.seal import Seal
from streams.messages.topics import Topic
from streams.online.feast_projector import Projector, offer_changes
from streams.state import saved_state
from streams.state.saved_state import Restored, Savable, Saver

logger = logging.getLogger(__name__)

# The stage waits while keys are encoded and sent, some five milliseconds for a thousand. So a chunk is small where turns are short, and
# as large as it must be where they are long.
_CHUNK_EVERY_S, _KEYS_PER_S = 0.05, 10_000
_CHUNK_KEYS = 5_000
# So much of the log is to be applied again at least.
_ROUND_EVERY_S = 5.0
# A stop should take no longer than some seconds; what is not saved then is applied again.
_CLOSE_S = 4.0
_CLOSE_KEYS = 20_000

State = TypeVar("State", bound=Savable)


class StateRecord(NamedTuple):
    """A record for a partition of the state topic."""

    partition: int
    key: bytes
    value: bytes | None


class PartitionStates(Generic[State]):
    """The states by partition, and up to where each has applied its partition of ``source``.

    ``create`` makes an empty state of a partition, ``reapply`` brings one on without sending anything; what was saved counts by ``seal``.
    ``repeatable``: sending again what was sent does no harm, so a stage whose committed positions are lost may go on from what it saved.
    """

    def __init__(
        self,
        log: KafkaLog,
        source: Topic,
        topic: Topic,
        create: Callable[[int], State],
        reapply: Callable[[int, State, Sequence[LogRecord]], None],
        seal: Seal,
        *,
        repeatable: bool,
    ) -> None:
        self._log, self._source, self._topic, self._seal = log, source, topic, seal
        self._create, self._reapply = create, reapply
        self._repeatable = repeatable
        self._states: dict[int, State] = {}
        self._savers: dict[int, Saver] = {}
        self._unprojected: dict[int, Int64] = {}
        self._generation: int | None = None
        self._began: dict[int, float] = {}
        self._saved_at = 0.0
        self._asked_at = 0.0
        self._source_id = ""
        self.positions: dict[int, int] = {}

    def __getitem__(self, partition: int) -> State:
        return self._states[partition]

    def open(self, partitions: Collection[int], membership: Membership) -> dict[int, int]:
        """Recovers the states of these partitions and lets go of others; returns where to go on from, by partition.

        A state is kept if it can't have had another owner since. Raises UserError if what is needed is no longer in Kafka, or was saved for
        other features or another number of partitions.
        """
        uninterrupted = self._generation is not None and membership.generation == self._generation + 1
        self._generation = membership.generation
        self._source_id = self._log.topic_id(self._source.name) or ""
        committed = self._log.positions(self._source.name, partitions)
        kept = {number for number, position in committed.items() if uninterrupted and self.positions.get(number) == position}
        for number in set(self._states) - kept:
            for held in (self._states, self._savers, self._unprojected, self._began, self.positions):
                held.pop(number, None)
        for number in set(committed) - kept:
            self._recover(number, committed[number], self._log.committed(self._source.name, number) is not None)
        return dict(self.positions)

    def advance(self, positions: Mapping[int, int]) -> None:
        """Notes that the states have applied everything before these positions."""
        self.positions |= positions

    def undo(self, partitions: Collection[int]) -> None:
        """Puts these states back to ``positions``, after a failure that may have left them anyhow."""
        for number in partitions:
            self._recover(number, self.positions[number], committed=True)

    def fail(self, partition: int, place: SourcePosition) -> StateRecord:
        """Has a partition's state refuse a record of ``transactions`` from now on; returns the record by which later owners know."""
        state = self._states[partition]
        state.failed.add(place)
        return StateRecord(partition, *saved_state.failed_record(place))

    def due(self) -> list[StateRecord]:
        """The records to save now, if any: write them in one transaction that commits ``positions``."""
        now = time.monotonic()
        turn, self._asked_at = now - self._asked_at, now
        if now < self._saved_at + _CHUNK_EVERY_S:
            return []
        waiting = [
            number
            for number, saver in self._savers.items()
            if saver.in_round or (saver.saved != self.positions[number] and now >= self._began.get(number, 0.0) + _ROUND_EVERY_S)
        ]
        if not waiting:
            return []
        self._saved_at = now
        number = min(waiting, key=lambda number: self._began.get(number, 0.0))
        if not self._savers[number].in_round:
            self._began[number] = now
        return self._chunk(number, min(_CHUNK_KEYS, int(max(turn, _CHUNK_EVERY_S) * _KEYS_PER_S)))

    def unknown(self) -> Iterator[list[StateRecord]]:
        """First records of partitions of which nothing was ever saved, so that a later owner knows from where on they are complete."""
        for number, saver in self._savers.items():
            if saver.saved is None:
                yield self._chunk(number, _CHUNK_KEYS)

    def rest(self) -> Iterator[list[StateRecord]]:
        """Everything that isn't saved, as far as some seconds suffice; write each list in a transaction that commits ``positions``."""
        deadline = time.monotonic() + _CLOSE_S
        for number, saver in self._savers.items():
            while (saver.in_round or saver.saved != self.positions[number]) and time.monotonic() < deadline:
                yield self._chunk(number, _CLOSE_KEYS)

    def project(self, projector: Projector | None) -> None:
        """Offers what changed to the online store, if there is one and it wants that now."""
        if projector is None:
            return
        for number, state in self._states.items():
            positions = self._unprojected.get(number)
            if positions is not None and projector.wants(number):
                # What is known to be projected needn't be again; if that isn't known, all is wanted anyway.
                since = projector.found(number)
                if since is not None:
                    state.entity.mark_changed((positions > since).nonzero()[0], UNPROJECTED)
                del self._unprojected[number]
            offer_changes(projector, state.entity, number, self.positions[number])

    def release(self, projector: Projector | None) -> None:
        """The partitions are revoked: nothing of them is projected any more."""
        for number in self._states:
            if projector is not None:
                projector.drop(number)

    def _chunk(self, number: int, most: int) -> list[StateRecord]:
        return [StateRecord(number, key, value) for key, value in self._savers[number].chunk(self.positions[number], most)]

    def _require_source(self, restored: Restored, number: int, position: int, where: str) -> None:
        """Raises UserError if the log is another than what was saved in ``where`` is about, or ends before that. What it has lost at its
        beginning shows when it is read."""
        if restored.source_id and self._source_id and restored.source_id != self._source_id:
            raise UserError(
                f"{where} was saved of another topic {self._source.name}, which was created again since, so its offsets mean something "
                f"else; restore the broker's data from a copy, or {START_OVER}"
            )
        require_within(f"{self._source.name}[{number}]", where, position, lambda: (0, self._log.bounds(self._source.name, number)[1]))

    def _recover(self, number: int, position: int, committed: bool) -> None:
        began = time.monotonic()
        where = f"{self._topic.name}[{number}]"
        state = self._create(number)
        restored = saved_state.restore(state, self._log.newest(self._topic.name, number, self._seal), where)
        restored.saver.source_id = self._source_id
        begin, _ = self._log.bounds(self._source.name, number)
        if restored.saved is None:
            if committed and begin > 0 and position > begin:
                raise UserError(
                    f"{where} holds no states, and {self._source.name}[{number}] begins at offset {begin}, so the log can't give them; "
                    f"restore the broker's data from a copy, or {START_OVER}"
                )
        else:
            begin = restored.saved
            source = f"{self._source.name}[{number}]"
            if not committed and self._repeatable:
                position = restored.latest
            self._require_source(restored, number, max(begin, position), where)
            if not committed and not self._repeatable:
                raise UserError(
                    f"group {self._log.group} has no offset for {source} (Kafka forgets those of a group that had no member for "
                    f"offsets.retention.minutes), but {where} was saved at {begin}; set it to where the stage was with `tidemark offsets "
                    "restore`"
                )
            if begin > position:
                raise UserError(
                    f"{where} was saved at offset {begin} of {source}, group {self._log.group} stands at {position}, which is before; set "
                    "it to where the stage was with `tidemark offsets restore`"
                )
            self._unprojected[number] = restored.positions
        for records in self._log.read(self._source.name, number, begin, position):
            self._reapply(number, state, records)
        state.ahead = {}
        self._states[number], self._savers[number], self.positions[number] = state, restored.saver, position
        logger.info(
            "recovered %s: %d keys, then offsets %d to %d, in %.1f s",
            where, len(state.entity), begin, position, time.monotonic() - began,
        )  # fmt: skip
