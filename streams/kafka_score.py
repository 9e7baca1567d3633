"""SCORE: speaks to the outside in transactions, which save the merchants' states too."""

import time
import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from streams import batches, saved_state
from streams.champion import Champion
from streams.config import StreamConfig
from streams.kafka_log import KafkaLog
from streams.kafka_producer import Membership, StageProducer
from streams.kafka_states import PartitionStates, StateRecord
from streams.kafka_topics import partition_count
from streams.partitions import Positions
from streams.project import Projector
from streams.score import Outcome, ScoreState, Variant, advance, decide
from streams.stages import SCORE
from streams.topics import BY_MERCHANT, DEAD_LETTERS, DECISIONS, SCORING_LOG, STATE_MERCHANTS, TRANSACTIONS
from streams.validation import Record


class ScoreWorker:
    """A ``partitions.StageWorker``. Decisions, dead letters, scoring log and positions of a turn become visible at once or never.

    A former owner can't commit any more, for the positions are committed as a member of the group in one generation; and what it has begun
    to commit is waited for before the positions are read.
    """

    def __init__(self, config: StreamConfig) -> None:
        self._config = config
        self._schema = batches.batch_schema(config.feature_set)
        self._partition_count = partition_count(config.kafka, BY_MERCHANT.name)
        self._sources = partition_count(config.kafka, TRANSACTIONS.name)
        self._champion = Champion(config.mlflow, config.feature_set)
        self._projector = Projector(config.feast_path, config.application, SCORE)
        self._log = KafkaLog(config.kafka, config.group(SCORE))
        self._producer = StageProducer(config.kafka, transactional_id=f"{config.group(SCORE)}-{uuid.uuid4()}")
        self._producer.fence()
        self._states = PartitionStates(self._log, BY_MERCHANT, STATE_MERCHANTS, self._create, self._reapply, repeatable=False)
        self._membership: Membership | None = None
        self._variants: dict[int, Variant] = {}
        self.counts: Counter[str] = Counter()

    def ready(self) -> bool:
        """Once there is a champion."""
        return self._champion.loaded

    def open(self, partitions: Collection[int], membership: Membership) -> Positions:
        """Recovers the partitions' states."""
        self._membership = membership
        self._variants = {}
        positions = self._states.open(partitions, membership)
        for records in self._states.unknown():
            self._commit(positions, records)
        return positions

    def process(self, records: Mapping[int, Sequence[Record]]) -> Positions:
        """Decides, then commits outputs and positions in one transaction, begun only when the outputs are there."""
        observed = advance([(self._states[partition], self._decode(partition, read)) for partition, read in records.items()], self.counts)
        variant = self._champion.current()
        outcome = decide(observed, variant, self._config.currency, decided_at=time.time_ns() // 1_000_000)
        positions = {partition: read[-1].offset + 1 for partition, read in records.items()}
        self._states.advance(positions)
        changed = self._note_variant(variant, {partition: read[0].offset for partition, read in records.items()})
        self._commit(positions, [*changed, *self._states.due()], outcome)
        self._states.project(self._projector)
        return {}

    def tick(self) -> Positions:
        """Saves and projects if it is time."""
        due = self._states.due()
        if due:
            self._commit(self._states.positions, due)
        self._states.project(self._projector)
        return {}

    def close(self) -> Positions:
        """Saves what isn't saved yet."""
        self._states.project(self._projector)
        for records in self._states.rest():
            self._commit(self._states.positions, records)
        self._states.release(self._projector)
        return {}

    def end(self) -> None:
        """Closes the connections."""
        self._projector.close()
        self._champion.close()
        self._producer.close()
        self._log.close()

    def _commit(self, positions: Positions, states: Sequence[StateRecord], outcome: Outcome | None = None) -> None:
        assert self._membership is not None
        self._producer.begin()
        if outcome is not None:
            self._producer.send_all(DECISIONS.name, outcome.decisions)
            for letter in outcome.dead_letters:
                self._producer.send(DEAD_LETTERS.name, letter)
            for stretch in outcome.log:
                self._producer.send(SCORING_LOG.name, stretch, partition=min(positions))
        for record in states:
            self._producer.send(STATE_MERCHANTS.name, record.value, record.key, record.partition)
        self._producer.commit(BY_MERCHANT.name, positions, self._membership)

    def _note_variant(self, variant: Variant, begins: Mapping[int, int]) -> list[StateRecord]:
        """Says from which offset on a partition is decided by another model or control revision than before."""
        changed = []
        for partition, offset in begins.items():
            if self._variants.get(partition) is not variant:
                self._variants[partition] = variant
                key, value = saved_state.variant_record(self._states[partition].entity, offset, variant.identity)
                changed.append(StateRecord(partition, key, value))
        return changed

    def _create(self, partition: int) -> ScoreState:
        return ScoreState(self._config.feature_set, self._partition_count, self._sources)

    def _reapply(self, partition: int, state: ScoreState, records: Sequence[Record]) -> None:
        advance([(state, self._decode(partition, records))], Counter())

    def _decode(self, partition: int, records: Sequence[Record]) -> list[batches.Batch]:
        return [
            batches.decode(record.value or b"", record.headers, (partition, record.offset), self._schema, self._config.feature_set)
            for record in records
        ]
