"""INGEST at one partition: recovers the users' states, sends batches on, and reports what is safely sent."""

import time
from collections import Counter
from collections.abc import Sequence

from streams.config import StreamConfig
from streams.ingest import IngestState, ingest
from streams.kafka_log import KafkaLog
from streams.kafka_producer import StageProducer
from streams.project import Projector, offer_changes
from streams.stages import INGEST
from streams.topics import BY_MERCHANT, TRANSACTIONS
from streams.validation import Record, Validator

# Waiting for acknowledgements costs a round trip, so it is done this often rather than for every batch.
_COMMIT_EVERY_S = 0.2


class IngestPartition:
    """A ``partitions.PartitionWorker``. What it sends a former owner may have sent too; SCORE knows repeated rows by their offsets."""

    def __init__(
        self,
        config: StreamConfig,
        partition: int,
        partitions: int,
        merchant_partitions: int,
        producer: StageProducer,
        projector: Projector,
        retained: dict[int, tuple[IngestState, int]],
    ) -> None:
        self._config = config
        self._partition = partition
        self._projector = projector
        self._retained = retained
        self._state = IngestState(
            config.feature_set, Validator(TRANSACTIONS.name, partition, partitions, config.currency), merchant_partitions
        )
        self._producer = producer
        self._position = 0
        self._committed = 0
        self._committed_at = 0.0
        self.counts: Counter[str] = Counter()

    def open(self) -> int:
        """Applies the log again up to the group's position, without speaking; a state kept from before the rebalance spares that."""
        log = KafkaLog(self._config.kafka, self._config.group(INGEST))
        try:
            begin, _ = log.bounds(TRANSACTIONS.name, self._partition)
            position = log.committed(TRANSACTIONS.name, self._partition)
            self._position = begin if position is None else position
            kept = self._retained.pop(self._partition, None)
            if kept is not None and kept[1] == self._position:
                self._state = kept[0]
            else:
                for records in log.read(TRANSACTIONS.name, self._partition, begin, self._position):
                    ingest(self._state, records, Counter())
        finally:
            log.close()
        self._committed = self._position
        return self._position

    def process(self, records: Sequence[Record]) -> int | None:
        """Sends the records' batches; the position becomes safe once all are acknowledged."""
        for routed in ingest(self._state, records, self.counts):
            self._producer.send(BY_MERCHANT.name, routed.value, partition=routed.partition, headers=routed.headers)
        self._position = records[-1].offset + 1
        return self.tick() if time.monotonic() - self._committed_at >= _COMMIT_EVERY_S else None

    def tick(self) -> int | None:
        """Waits for what was sent, projects if it is time."""
        moved = self._position != self._committed
        if moved:
            self._producer.flush()
            self._committed, self._committed_at = self._position, time.monotonic()
        offer_changes(self._projector, self._state.users, self._partition, self._position)
        return self._position if moved else None

    def close(self) -> int | None:
        """Keeps the state for the case that the partition comes back with nothing done to it."""
        position = self.tick()
        self._projector.drop(self._partition)
        self._retained[self._partition] = (self._state, self._position)
        return position
