"""INGEST: sends batches on, commits up to where all is safely sent, and saves the users' states."""

import logging
from collections.abc import Mapping, Sequence

from features.arrays import Int64
from features.errors import UserError
from streams.config import INGEST, DeploymentConfig
from streams.delivery.kafka_delivery import AtLeastOnce
from streams.delivery.kafka_marks import sent_replays
from streams.delivery.kafka_states import PartitionStates
from streams.ingest import Routed, ingest, reapply
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.kafka.positions import Positions, reached
from streams.kafka.producer import StageProducer
from streams.messages.headers import mark_of
from streams.messages.record import Record
from streams.messages.seal import Seal
from streams.messages.topics import BY_MERCHANT, STATE_USERS, TRANSACTIONS
from streams.messages.validation import Validator
from streams.online.feast_projector import open_projector
from streams.stages.kafka_stateful import StatefulStage
from streams.state.users import IngestState

logger = logging.getLogger(__name__)

Order = Mapping[int, Int64] | None
"""Of each partition's records, their places (int64, never falling) among those of all."""


class IngestWorker(StatefulStage[IngestState]):
    """A ``partitions.StageWorker``. What it sends a former owner may have sent too; SCORE knows repeated rows by their offsets."""

    def __init__(self, config: DeploymentConfig) -> None:
        self._config = config
        self._seal = Seal(config.answer_key)
        self._over: set[tuple[int, str]] = set()
        self._looking_back = False
        clients = KafkaClients.of(config)
        self._partition_count = partition_count(clients, TRANSACTIONS.name)
        self._merchant_partitions = partition_count(clients, BY_MERCHANT.name)
        log = KafkaLog(clients, config.group(INGEST))
        super().__init__(
            log,
            AtLeastOnce(clients, config.group(INGEST), TRANSACTIONS, STATE_USERS, self._seal),
            open_projector(config, INGEST),
            PartitionStates(log, TRANSACTIONS, STATE_USERS, self._create, _reapply, self._seal, repeatable=True),
        )

    def ready(self) -> bool:
        """Not while it looks back."""
        return not self._looking_back

    def process(self, records: Mapping[int, Sequence[Record]]) -> Positions:
        """Sends the records' batches; the positions become safe once all are acknowledged.

        Raises UserError if a record belongs to an aligned replay, for then its place among those of other partitions matters.
        """
        for partition, read in records.items():
            for record in read:
                if record.headers:
                    self._require_not_to_be_merged(partition, record)
        return self._process(records, None)

    def _require_not_to_be_merged(self, partition: int, record: Record) -> None:
        mark = mark_of(record, partition, self._seal)
        if mark is None or mark.is_last or (partition, mark.replay) in self._over:
            return
        # That may take longer than a process may stand still; no position is to be expected of it meanwhile.
        self._looking_back = True
        try:
            sent = sent_replays(self._log, partition, self._seal)
        finally:
            self._looking_back = False
        self._over |= {(partition, name) for name, replay in sent.items() if replay.is_over_before(record.offset)}
        if (partition, mark.replay) not in self._over:
            raise UserError(
                f"{TRANSACTIONS.name}[{partition}] has records of the aligned replay {mark.replay} from offset {record.offset} on, which "
                "was not finished; finish it with the `tidemark replay --aligned` that began it, while workers run with "
                f"--stages labels,score, or have what was sent of it taken where it stands: tidemark replay --abandon {mark.replay}"
            )

    def process_aligned(self, records: Mapping[int, Sequence[Record]], order: Mapping[int, Int64]) -> Positions:
        """As ``process``, for records whose rows are sent in this order."""
        return self._process(records, order)

    def _process(self, records: Mapping[int, Sequence[Record]], order: Order) -> Positions:
        try:
            sent = self._ingest(records, order)
        except Exception as error:
            logger.exception("INGEST failed on %d records", sum(map(len, records.values())))
            sent = self._ingest_but_culprits(records, order, error)
        positions = reached(records)
        self._states.advance(positions)

        def send(producer: StageProducer) -> None:
            for routed in sent:
                seal = self._seal.header(BY_MERCHANT.name, routed.partition, None, routed.value, routed.headers)
                producer.send(BY_MERCHANT.name, routed.value, partition=routed.partition, headers=[*routed.headers, seal])

        return self._finish(send, positions)

    def _ingest(self, records: Mapping[int, Sequence[Record]], order: Order) -> list[Routed]:
        turn = [(self._states[partition], read) for partition, read in records.items()]
        return ingest(turn, self.counts, None if order is None else [order[number] for number in records])

    def _ingest_but_culprits(self, records: Mapping[int, Sequence[Record]], order: Order, failure: Exception) -> list[Routed]:
        """As ``_ingest``, but records that can't be processed are refused."""
        items = [(partition, row) for partition, read in records.items() for row in range(len(read))]

        def attempt(begin: int, end: int) -> list[Routed]:
            rows: dict[int, list[int]] = {}
            for partition, row in items[begin:end]:
                rows.setdefault(partition, []).append(row)
            turn = {partition: [records[partition][row] for row in here] for partition, here in rows.items()}
            return self._ingest(turn, None if order is None else {partition: order[partition][here] for partition, here in rows.items()})

        def place_of(number: int) -> tuple[int, tuple[int, int]]:
            partition, row = items[number]
            return partition, (partition, records[partition][row].offset)

        return self._without_culprits(records, len(items), attempt, place_of, failure)

    def _create(self, partition: int) -> IngestState:
        validator = Validator(TRANSACTIONS.name, partition, self._partition_count, self._config.currency, self._seal)
        return IngestState(self._config.feature_set, validator, self._merchant_partitions)


def _reapply(_partition: int, state: IngestState, records: Sequence[Record]) -> None:
    reapply(state, records)
