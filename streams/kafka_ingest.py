"""INGEST: recovers the users' states, sends batches on, and reports what is safely sent."""

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from streams.config import StreamConfig
from streams.ingest import IngestState, ingest
from streams.kafka_log import KafkaLog
from streams.kafka_producer import Membership, StageProducer
from streams.kafka_topics import partition_count
from streams.partitions import Positions
from streams.project import Projector, offer_changes
from streams.stages import INGEST
from streams.topics import BY_MERCHANT, TRANSACTIONS
from streams.validation import Record, Validator

# Waiting for acknowledgements costs a round trip, so it is done this often rather than for every turn.
_COMMIT_EVERY_S = 0.2


class IngestWorker:
    """A ``partitions.StageWorker``. What it sends a former owner may have sent too; SCORE knows repeated rows by their offsets."""

    def __init__(self, config: StreamConfig) -> None:
        self._config = config
        self._partition_count = partition_count(config.kafka, TRANSACTIONS.name)
        self._merchant_partitions = partition_count(config.kafka, BY_MERCHANT.name)
        self._log = KafkaLog(config.kafka, config.group(INGEST))
        self._producer = StageProducer(config.kafka)
        self._projector = Projector(config.feast_path, config.application, INGEST)
        self._states: dict[int, IngestState] = {}
        self._positions: dict[int, int] = {}
        self._committed: dict[int, int] = {}
        self._committed_at = 0.0
        self.counts: Counter[str] = Counter()

    def ready(self) -> bool:
        """Always."""
        return True

    def open(self, partitions: Collection[int], membership: Membership) -> Positions:
        """Applies the logs again up to the group's positions, without speaking; a state kept from before the rebalance spares that."""
        committed = self._log.positions(TRANSACTIONS.name, partitions)
        kept = {partition: state for partition, state in self._states.items() if committed.get(partition) == self._positions[partition]}
        self._states = {partition: kept.get(partition) or self._recovered(partition, position) for partition, position in committed.items()}
        self._positions, self._committed = dict(committed), dict(committed)
        return committed

    def process(self, records: Mapping[int, Sequence[Record]]) -> Positions:
        """Sends the records' batches; the positions become safe once all are acknowledged."""
        for routed in ingest([(self._states[partition], read) for partition, read in records.items()], self.counts):
            self._producer.send(BY_MERCHANT.name, routed.value, partition=routed.partition, headers=routed.headers)
        self._positions |= {partition: read[-1].offset + 1 for partition, read in records.items()}
        return self.tick() if time.monotonic() - self._committed_at >= _COMMIT_EVERY_S else {}

    def tick(self) -> Positions:
        """Waits for what was sent, projects if it is time."""
        moved = {partition: position for partition, position in self._positions.items() if position != self._committed[partition]}
        if moved:
            self._producer.flush()
            self._committed |= moved
            self._committed_at = time.monotonic()
        for partition, state in self._states.items():
            offer_changes(self._projector, state.users, partition, self._positions[partition])
        return moved

    def close(self) -> Positions:
        """Keeps the states for the case that the partitions come back with nothing done to them."""
        positions = self.tick()
        for partition in self._states:
            self._projector.drop(partition)
        return positions

    def end(self) -> None:
        """Closes the connections."""
        self._projector.close()
        self._producer.close()
        self._log.close()

    def _recovered(self, partition: int, position: int) -> IngestState:
        validator = Validator(TRANSACTIONS.name, partition, self._partition_count, self._config.currency)
        state = IngestState(self._config.feature_set, validator, self._merchant_partitions)
        begin, _ = self._log.bounds(TRANSACTIONS.name, partition)
        for records in self._log.read(TRANSACTIONS.name, partition, begin, position):
            ingest([(state, records)], Counter())
        return state
