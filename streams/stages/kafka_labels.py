"""LABELS: copies labels, unread, onto their users' logs."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from streams.config import LABELS_COPY, DeploymentConfig
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.kafka.positions import Positions, reached
from streams.kafka.producer import Membership, StageProducer
from streams.messages.headers import LABEL_HEADER
from streams.messages.record import Record
from streams.messages.topics import LABELS, TRANSACTIONS


class LabelsWorker:
    """A ``partitions.StageWorker`` without state. A label copied twice does no harm, for it counts once."""

    def __init__(self, config: DeploymentConfig) -> None:
        kafka = KafkaClients.of(config)
        # Of a topic that is missing nothing would ever be assigned.
        partition_count(kafka, LABELS.name)
        self._log = KafkaLog(kafka, config.group(LABELS_COPY))
        self._producer = StageProducer(kafka)
        self.counts: Counter[str] = Counter()

    def ready(self) -> bool:
        """Always."""
        return True

    def open(self, partitions: Collection[int], membership: Membership) -> Positions:
        """The group's positions."""
        return self._log.positions(LABELS.name, partitions)

    def process(self, records: Mapping[int, Sequence[Record]]) -> Positions:
        """Copies the records; keys decide the partition, as for their transactions."""
        for of_partition in records.values():
            for record in of_partition:
                self._producer.send(TRANSACTIONS.name, record.value, record.key, headers=[LABEL_HEADER])
            self.counts["copied"] += len(of_partition)
        self._producer.flush()
        return reached(records)

    def tick(self) -> Positions:
        """Nothing was put off."""
        return {}

    def close(self) -> Positions:
        """Nothing is under way."""
        return {}

    def end(self) -> None:
        """Closes the connections."""
        self._producer.close()
        self._log.close()
