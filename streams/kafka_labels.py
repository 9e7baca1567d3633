"""LABELS at one partition: copies labels, unread, onto their users' logs."""

from collections.abc import Sequence

from streams.config import StreamConfig
from streams.kafka_log import KafkaLog
from streams.kafka_producer import StageProducer
from streams.stages import LABELS_COPY
from streams.topics import LABELS, TRANSACTIONS
from streams.validation import Record

LABEL_HEADER = ("type", b"label")


class LabelsPartition:
    """A ``partitions.PartitionWorker`` without state. A label copied twice does no harm, for it counts once."""

    def __init__(self, config: StreamConfig, partition: int, producer: StageProducer) -> None:
        self._config = config
        self._partition = partition
        self._producer = producer

    def open(self) -> int:
        """The group's position."""
        log = KafkaLog(self._config.kafka, self._config.group(LABELS_COPY))
        try:
            position = log.committed(LABELS.name, self._partition)
            return log.bounds(LABELS.name, self._partition)[0] if position is None else position
        finally:
            log.close()

    def process(self, records: Sequence[Record]) -> int:
        """Copies the records; keys decide the partition, as for their transactions."""
        for record in records:
            self._producer.send(TRANSACTIONS.name, record.value, record.key, headers=[LABEL_HEADER])
        self._producer.flush()
        return records[-1].offset + 1

    def tick(self) -> None:
        """Nothing was put off."""

    def close(self) -> None:
        """Nothing is under way."""
