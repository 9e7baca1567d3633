"""INGEST: sends batches on, reports what is safely sent, and saves the users' states."""

import time
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from streams.config import StreamConfig
from streams.ingest import IngestState, ingest
from streams.kafka_log import KafkaLog
from streams.kafka_producer import Membership, StageProducer
from streams.kafka_states import PartitionStates, StateRecord
from streams.kafka_topics import partition_count
from streams.partitions import Positions
from streams.project import Projector
from streams.stages import INGEST
from streams.topics import BY_MERCHANT, STATE_USERS, TRANSACTIONS
from streams.validation import Record, Validator

# Waiting for acknowledgements costs a round trip, so it is done this often rather than for every turn.
_COMMIT_EVERY_S = 0.2


class IngestWorker:
    """A ``partitions.StageWorker``. What it sends a former owner may have sent too; SCORE knows repeated rows by their offsets.

    States are saved in transactions that commit the positions too, so a former owner can't overwrite its successor's.
    """

    def __init__(self, config: StreamConfig) -> None:
        self._config = config
        self._partition_count = partition_count(config.kafka, TRANSACTIONS.name)
        self._merchant_partitions = partition_count(config.kafka, BY_MERCHANT.name)
        self._log = KafkaLog(config.kafka, config.group(INGEST))
        self._producer = StageProducer(config.kafka)
        self._saves = StageProducer(config.kafka, transactional_id=f"{config.group(INGEST)}-{uuid.uuid4()}")
        self._saves.fence()
        self._projector = Projector(config.feast_path, config.application, INGEST)
        self._states = PartitionStates(self._log, TRANSACTIONS, STATE_USERS, self._create, _reapply, repeatable=True)
        self._membership: Membership | None = None
        self._committed: dict[int, int] = {}
        self._committed_at = 0.0
        self.counts: Counter[str] = Counter()

    def ready(self) -> bool:
        """Always."""
        return True

    def open(self, partitions: Collection[int], membership: Membership) -> Positions:
        """Recovers the partitions' states."""
        self._membership = membership
        self._committed = self._states.open(partitions, membership)
        self._save(self._states.unknown())
        return dict(self._committed)

    def process(self, records: Mapping[int, Sequence[Record]]) -> Positions:
        """Sends the records' batches; the positions become safe once all are acknowledged."""
        for routed in ingest([(self._states[partition], read) for partition, read in records.items()], self.counts):
            self._producer.send(BY_MERCHANT.name, routed.value, partition=routed.partition, headers=routed.headers)
        self._states.advance({partition: read[-1].offset + 1 for partition, read in records.items()})
        return self.tick() if time.monotonic() - self._committed_at >= _COMMIT_EVERY_S else {}

    def tick(self) -> Positions:
        """Waits for what was sent; saves and projects if it is time."""
        moved = self._flush()
        due = self._states.due()
        if due:
            self._save([due])
            moved = {}
        self._states.project(self._projector)
        return moved

    def close(self) -> Positions:
        """Saves what isn't saved yet."""
        moved = self._flush()
        self._states.project(self._projector)
        self._save(self._states.rest())
        self._states.release(self._projector)
        return moved

    def end(self) -> None:
        """Closes the connections."""
        self._projector.close()
        self._saves.close()
        self._producer.close()
        self._log.close()

    def _flush(self) -> dict[int, int]:
        moved = {number: position for number, position in self._states.positions.items() if position != self._committed[number]}
        if moved:
            self._producer.flush()
            self._committed |= moved
            self._committed_at = time.monotonic()
        return moved

    def _save(self, lists: Iterable[Sequence[StateRecord]]) -> None:
        """Writes each list in a transaction that commits the positions, up to which everything must be acknowledged."""
        assert self._membership is not None
        for records in lists:
            self._saves.begin()
            for record in records:
                self._saves.send(STATE_USERS.name, record.value, record.key, record.partition)
            self._saves.commit(TRANSACTIONS.name, self._committed, self._membership)

    def _create(self, partition: int) -> IngestState:
        validator = Validator(TRANSACTIONS.name, partition, self._partition_count, self._config.currency)
        return IngestState(self._config.feature_set, validator, self._merchant_partitions)


def _reapply(partition: int, state: IngestState, records: Sequence[Record]) -> None:
    ingest([(state, records)], Counter())
