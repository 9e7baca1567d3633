"""SCORE: recovers the merchants' states, and speaks to the outside in transactions."""

import time
import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from streams import batches
from streams.champion import Champion
from streams.config import StreamConfig
from streams.kafka_log import KafkaLog
from streams.kafka_producer import Membership, StageProducer
from streams.partitions import Positions
from streams.project import Projector, offer_changes
from streams.score import ScoreState, advance, decide
from streams.stages import SCORE
from streams.topics import BY_MERCHANT, DEAD_LETTERS, DECISIONS, SCORING_LOG
from streams.validation import Record


class ScoreWorker:
    """A ``partitions.StageWorker``. Decisions, dead letters, scoring log and positions of a turn become visible at once or never.

    A former owner can't commit any more, for the positions are committed as a member of the group in one generation; and what it has begun
    to commit is waited for before the positions are read.
    """

    def __init__(self, config: StreamConfig) -> None:
        self._config = config
        self._schema = batches.batch_schema(config.feature_set)
        self._champion = Champion(config.mlflow, config.feature_set)
        self._projector = Projector(config.feast_path, config.application, SCORE)
        self._log = KafkaLog(config.kafka, config.group(SCORE))
        self._producer = StageProducer(config.kafka, transactional_id=f"{config.group(SCORE)}-{uuid.uuid4()}")
        self._producer.fence()
        self._membership: Membership | None = None
        self._states: dict[int, ScoreState] = {}
        self._positions: dict[int, int] = {}
        self.counts: Counter[str] = Counter()

    def ready(self) -> bool:
        """Once there is a champion."""
        return self._champion.loaded

    def open(self, partitions: Collection[int], membership: Membership) -> Positions:
        """Applies the logs again up to the group's positions, without speaking; a state kept from before the rebalance spares that."""
        self._membership = membership
        committed = self._log.positions(BY_MERCHANT.name, partitions)
        kept = {partition: state for partition, state in self._states.items() if committed.get(partition) == self._positions[partition]}
        self._states = {partition: kept.get(partition) or self._recovered(partition, position) for partition, position in committed.items()}
        self._positions = dict(committed)
        return committed

    def process(self, records: Mapping[int, Sequence[Record]]) -> Positions:
        """Decides, then commits outputs and positions in one transaction, begun only when the outputs are there."""
        assert self._membership is not None
        observed = advance([(self._states[partition], self._decode(partition, read)) for partition, read in records.items()], self.counts)
        outcome = decide(observed, self._champion.current(), self._config.currency, decided_at=time.time_ns() // 1_000_000)
        positions = {partition: read[-1].offset + 1 for partition, read in records.items()}
        self._producer.begin()
        self._producer.send_all(DECISIONS.name, outcome.decisions)
        for letter in outcome.dead_letters:
            self._producer.send(DEAD_LETTERS.name, letter)
        for stretch in outcome.log:
            self._producer.send(SCORING_LOG.name, stretch, partition=min(records))
        self._producer.commit(BY_MERCHANT.name, positions, self._membership)
        self._positions |= positions
        return self.tick()

    def tick(self) -> Positions:
        """Projects if it is time."""
        for partition, state in self._states.items():
            offer_changes(self._projector, state.merchants, partition, self._positions[partition])
        return {}

    def close(self) -> Positions:
        """Keeps the states for the case that the partitions come back with nothing done to them."""
        self.tick()
        for partition in self._states:
            self._projector.drop(partition)
        return {}

    def end(self) -> None:
        """Closes the connections."""
        self._projector.close()
        self._champion.close()
        self._producer.close()
        self._log.close()

    def _recovered(self, partition: int, position: int) -> ScoreState:
        state = ScoreState(self._config.feature_set)
        begin, _ = self._log.bounds(BY_MERCHANT.name, partition)
        for records in self._log.read(BY_MERCHANT.name, partition, begin, position):
            advance([(state, self._decode(partition, records))], Counter())
        return state

    def _decode(self, partition: int, records: Sequence[Record]) -> list[batches.Batch]:
        return [
            batches.decode(record.value or b"", record.headers, (partition, record.offset), self._schema, self._config.feature_set)
            for record in records
        ]
