"""SCORE at one partition: recovers the merchants' states, and speaks to the outside in transactions."""

import time
from collections import Counter
from collections.abc import Callable, Sequence

from confluent_kafka import TopicPartition

from streams import batches
from streams.config import StreamConfig
from streams.kafka_log import KafkaLog
from streams.kafka_producer import StageProducer
from streams.project import Projector, offer_changes
from streams.score import ScoreState, Variant, advance, decide
from streams.stages import SCORE
from streams.topics import BY_MERCHANT, DEAD_LETTERS, DECISIONS, SCORING_LOG
from streams.validation import Record


class ScorePartition:
    """A ``partitions.PartitionWorker``. Decisions, dead letters, scoring log and position of a batch become visible at once or never."""

    def __init__(
        self,
        config: StreamConfig,
        partition: int,
        champion: Callable[[], Variant],
        projector: Projector,
        retained: dict[int, tuple[ScoreState, int]],
    ) -> None:
        self._config = config
        self._partition = partition
        self._champion = champion
        self._projector = projector
        self._retained = retained
        self._state = ScoreState(config.feature_set)
        self._schema = batches.batch_schema(config.feature_set)
        self._log = KafkaLog(config.kafka, config.group(SCORE))
        self._producer = StageProducer(config.kafka, transactional_id=f"{config.group(SCORE)}-{partition}")
        self._position = 0
        self.counts: Counter[str] = Counter()

    def open(self) -> int:
        """Fences the former owner first, so that the position read then is final; applies the log again up to it, without speaking."""
        self._producer.fence()
        begin, _ = self._log.bounds(BY_MERCHANT.name, self._partition)
        position = self._log.committed(BY_MERCHANT.name, self._partition)
        self._position = begin if position is None else position
        kept = self._retained.pop(self._partition, None)
        if kept is not None and kept[1] == self._position:
            self._state = kept[0]
        else:
            for records in self._log.read(BY_MERCHANT.name, self._partition, begin, self._position):
                advance(self._state, self._decode(records), Counter())
        return self._position

    def process(self, records: Sequence[Record]) -> None:
        """Decides, then commits outputs and position in one transaction, begun only when the outputs are there."""
        observed = advance(self._state, self._decode(records), self.counts)
        outcome = decide(observed, self._champion(), self._config.currency, decided_at=time.time_ns() // 1_000_000)
        send = self._producer.send
        self._producer.begin()
        self._producer.send_all(DECISIONS.name, outcome.decisions)
        for letter in outcome.dead_letters:
            send(DEAD_LETTERS.name, letter)
        for stretch in outcome.log:
            send(SCORING_LOG.name, stretch, partition=self._partition)
        position = records[-1].offset + 1
        self._producer.commit([TopicPartition(BY_MERCHANT.name, self._partition, position)], self._log.group_metadata())
        self._position = position
        self.tick()

    def tick(self) -> None:
        """Projects if it is time."""
        offer_changes(self._projector, self._state.merchants, self._partition, self._position)

    def close(self) -> None:
        """Keeps the state for the case that the partition comes back with nothing done to it."""
        self.tick()
        self._projector.drop(self._partition)
        self._producer.close()
        self._log.close()
        self._retained[self._partition] = (self._state, self._position)

    def _decode(self, records: Sequence[Record]) -> list[batches.Batch]:
        return [
            batches.decode(record.value or b"", record.headers, (self._partition, record.offset), self._schema, self._config.feature_set)
            for record in records
        ]
