"""LABELS: copies labels, unread, onto their users' logs; what is too large for that becomes a dead letter."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from streams.config import LABELS_COPY, DeploymentConfig
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.kafka.positions import Positions, reached
from streams.kafka.producer import Membership, StageProducer
from streams.messages.dead_letters import letter_header
from streams.messages.headers import label_header
from streams.messages.record import Record
from streams.messages.refusals import MAX_VALUE_BYTES, RefusedError
from streams.messages.seal import Seal
from streams.messages.topics import DEAD_LETTERS, LABELS, TRANSACTIONS
from streams.messages.validation import Validator


class LabelsWorker:
    """A ``partitions.StageWorker`` without state. A label copied twice does no harm, for it counts once."""

    def __init__(self, config: DeploymentConfig) -> None:
        kafka = KafkaClients.of(config)
        # Of a topic that is missing nothing would ever be assigned.
        self._config, self._count = config, partition_count(kafka, LABELS.name)
        self._log = KafkaLog(kafka, config.group(LABELS_COPY))
        self._producer = StageProducer(kafka)
        self._seal = Seal(config.answer_key)
        self.counts: Counter[str] = Counter()

    def ready(self) -> bool:
        """Always."""
        return True

    def open(self, partitions: Collection[int], membership: Membership) -> Positions:
        """The group's positions."""
        return self._log.positions(LABELS.name, partitions)

    def process(self, records: Mapping[int, Sequence[Record]]) -> Positions:
        """Copies the records; keys decide the partition, as for their transactions."""
        for number, of_partition in records.items():
            for record in of_partition:
                if (size := _size(record)) > MAX_VALUE_BYTES:
                    self._refuse(number, record, size)
                else:
                    header = label_header(self._seal, record.key, record.value, (number, record.offset))
                    self._producer.send(TRANSACTIONS.name, record.value, record.key, headers=[header])
                    self.counts["copied"] += 1
        self._producer.flush()
        return reached(records)

    def _refuse(self, number: int, record: Record, size: int) -> None:
        """Nothing else in a label can fail, for nothing else is looked at."""
        refused = RefusedError("too_large", f"the label has {size} bytes with its key, at most {MAX_VALUE_BYTES} are taken")
        letter = Validator(LABELS.name, number, self._count, self._config.currency).dead_letter(record, refused)
        self._producer.send(DEAD_LETTERS.name, letter, headers=[letter_header(self._seal, letter)])
        self.counts[f"refused.{refused.reason}"] += 1

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


def _size(record: Record) -> int:
    """What a broker counts of it, nearly: compressed on ``labels``, one that is far larger than the broker takes may lie there."""
    return len(record.key or b"") + len(record.value or b"")
