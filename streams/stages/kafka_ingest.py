"""INGEST: sends batches on, says up to where all is safely sent, and saves the users' states."""

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from features.arrays import Int64
from features.errors import UserError
from streams.config import INGEST, DeploymentConfig
from streams.delivery.isolation import process_but_culprits
from streams.delivery.kafka_delivery import AtLeastOnce
from streams.delivery.kafka_states import PartitionStates
from streams.ingest import Routed, ingest, reapply
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.kafka.positions import Positions
from streams.kafka.producer import Membership, StageProducer
from streams.messages.headers import must_be_merged
from streams.messages.record import Record
from streams.messages.topics import BY_MERCHANT, STATE_USERS, TRANSACTIONS
from streams.messages.validation import Validator
from streams.online.feast_projector import open_projector
from streams.state.users import IngestState

logger = logging.getLogger(__name__)

Places = Mapping[int, Int64] | None


class IngestWorker:
    """A ``partitions.StageWorker``. What it sends a former owner may have sent too; SCORE knows repeated rows by their offsets."""

    def __init__(self, config: DeploymentConfig) -> None:
        self._config = config
        self._partition_count = partition_count(KafkaClients.of(config), TRANSACTIONS.name)
        self._merchant_partitions = partition_count(KafkaClients.of(config), BY_MERCHANT.name)
        self._log = KafkaLog(KafkaClients.of(config), config.group(INGEST))
        self._delivery = AtLeastOnce(KafkaClients.of(config), config.group(INGEST), TRANSACTIONS, STATE_USERS)
        self._projector = open_projector(config, INGEST)
        self._states = PartitionStates(self._log, TRANSACTIONS, STATE_USERS, self._create, _reapply, repeatable=True)
        self.counts: Counter[str] = Counter()

    def ready(self) -> bool:
        """Always."""
        return True

    def open(self, partitions: Collection[int], membership: Membership) -> Positions:
        """Recovers the partitions' states."""
        positions = self._states.open(partitions, membership)
        self._delivery.open(positions, membership)
        for records in self._states.unknown():
            self._delivery.deliver(None, {}, records)
        return positions

    def process(self, records: Mapping[int, Sequence[Record]]) -> Positions:
        """Sends the records' batches; the positions become safe once all are acknowledged.

        Raises UserError if a record belongs to an aligned replay, for then its place among those of other partitions matters.
        """
        for partition, read in records.items():
            unmerged = next((record for record in read if record.headers and must_be_merged(record)), None)
            if unmerged is not None:
                raise UserError(
                    f"{TRANSACTIONS.name}[{partition}] has an aligned replay at offset {unmerged.offset} that was not finished; finish it "
                    "with the `tidemark replay --aligned` that began it, while workers run with --stages labels,score"
                )
        return self._process(records, None)

    def process_aligned(self, records: Mapping[int, Sequence[Record]], places: Mapping[int, Int64]) -> Positions:
        """As ``process``, for records whose rows are sent by their ``places`` (each record's, never falling in a partition) among all."""
        return self._process(records, places)

    def _process(self, records: Mapping[int, Sequence[Record]], places: Places) -> Positions:
        try:
            sent = self._ingest(records, places)
        except Exception:
            logger.exception("INGEST failed on %d records", sum(map(len, records.values())))
            sent = self._ingest_but_culprits(records, places)
        positions = {partition: read[-1].offset + 1 for partition, read in records.items()}
        self._states.advance(positions)

        def send(producer: StageProducer) -> None:
            for routed in sent:
                producer.send(BY_MERCHANT.name, routed.value, partition=routed.partition, headers=routed.headers)

        safe = self._delivery.deliver(send, positions, self._states.due())
        self._states.project(self._projector)
        return safe

    def tick(self) -> Positions:
        """Saves and projects if it is time."""
        safe = self._delivery.deliver(None, {}, self._states.due())
        self._states.project(self._projector)
        return safe

    def close(self) -> Positions:
        """Saves what isn't saved yet."""
        safe = self.tick()
        for records in self._states.rest():
            self._delivery.deliver(None, {}, records)
        self._states.release(self._projector)
        return safe

    def end(self) -> None:
        """Closes the connections."""
        if self._projector is not None:
            self._projector.close()
        self._delivery.close()
        self._log.close()

    def _ingest(self, records: Mapping[int, Sequence[Record]], places: Places) -> list[Routed]:
        turn = [(self._states[partition], read) for partition, read in records.items()]
        return ingest(turn, self.counts, None if places is None else [places[number][: len(read)] for number, read in records.items()])

    def _ingest_but_culprits(self, records: Mapping[int, Sequence[Record]], places: Places) -> list[Routed]:
        """As ``_ingest``, but records that can't be processed are refused."""
        items = [(partition, record) for partition, read in records.items() for record in read]

        def attempt(n: int) -> list[Routed]:
            turn: dict[int, list[Record]] = {}
            for partition, record in items[:n]:
                turn.setdefault(partition, []).append(record)
            return self._ingest(turn, places)

        def give_up(number: int, error: Exception) -> None:
            partition, record = items[number]
            logger.error("gave up %s[%d] offset %d: %s", TRANSACTIONS.name, partition, record.offset, error, exc_info=error)
            # A successor must refuse it too, so that is on record before anything is said.
            self._delivery.deliver(None, {}, [self._states.fail(partition, (partition, record.offset))])

        return process_but_culprits(len(items), attempt, lambda: self._states.undo(records), give_up)

    def _create(self, partition: int) -> IngestState:
        validator = Validator(TRANSACTIONS.name, partition, self._partition_count, self._config.currency)
        return IngestState(self._config.feature_set, validator, self._merchant_partitions)


def _reapply(_partition: int, state: IngestState, records: Sequence[Record]) -> None:
    reapply(state, records)
