"""SCORE: decides, sends what follows from that, and saves the merchants' states."""

import logging
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from models.experiments.variant import Variant
from streams.config import INGEST, SCORE, DeploymentConfig
from streams.control.mlflow_champion import Champion
from streams.delivery.kafka_delivery import ExactlyOnce
from streams.delivery.kafka_gaps import GapWatch
from streams.delivery.kafka_states import PartitionStates, StateRecord
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.kafka.positions import Positions, reached
from streams.kafka.producer import Membership, StageProducer
from streams.messages import batches
from streams.messages.batches import Batch
from streams.messages.dead_letters import letter_header
from streams.messages.record import UNSTAMPED, Record
from streams.messages.seal import Seal
from streams.messages.topics import BY_MERCHANT, DEAD_LETTERS, DECISIONS, SCORING_LOG, STATE_MERCHANTS, TRANSACTIONS
from streams.metrics.catalogue import DECISION_BOUNDS, DECISION_SECONDS, Metric
from streams.metrics.prometheus_collectors import Value
from streams.metrics.tally import Tally
from streams.online.feast_projector import open_projector
from streams.score import Observed, advance, decide_each
from streams.stages.kafka_stateful import StatefulStage
from streams.state import saved_state
from streams.state.merchants import ScoreState

logger = logging.getLogger(__name__)


class ScoreWorker(StatefulStage[ScoreState]):
    """A ``partitions.StageWorker``. Decisions, dead letters, scoring log and positions of a turn become visible at once or never.

    A former owner can't commit any more, for the positions are committed as a member of the group in one generation; and what it has begun
    to commit is waited for before the positions are read.
    """

    def __init__(self, config: DeploymentConfig) -> None:
        self._config = config
        self._seal = Seal(config.answer_key)
        self._schema = batches.batch_schema(config.feature_set)
        clients = KafkaClients.of(config)
        self._partition_count = partition_count(clients, BY_MERCHANT.name)
        self._sources = partition_count(clients, TRANSACTIONS.name)
        self._champion = Champion(config.mlflow, config.feature_set, config.home)
        self._variants: dict[int, Variant] = {}
        self._latency = Tally(DECISION_BOUNDS)
        log = KafkaLog(clients, config.group(SCORE))
        self._gaps = GapWatch(KafkaLog(clients, config.group(INGEST)), log)
        super().__init__(
            log,
            ExactlyOnce(clients, config.group(SCORE), BY_MERCHANT, STATE_MERCHANTS, self._seal),
            open_projector(config, SCORE),
            PartitionStates(log, BY_MERCHANT, STATE_MERCHANTS, self._create, self._reapply, self._seal, repeatable=False),
        )

    def ready(self) -> bool:
        """Once there is a champion."""
        return self._champion.loaded

    def open(self, partitions: Collection[int], membership: Membership) -> Positions:
        """Recovers the partitions' states."""
        self._variants = {}
        return super().open(partitions, membership)

    def end(self) -> None:
        """Closes the connections."""
        super().end()
        self._gaps.close()
        self._champion.close()

    def tick(self) -> Positions:
        """Saves and projects if it is time. Raises UserError if rows are missing for good."""
        self._look_for_gaps()
        return super().tick()

    def process(self, records: Mapping[int, Sequence[Record]]) -> Positions:
        """Decides, then delivers; nothing is begun before all outputs are there."""
        turn = {partition: self._decode(partition, read) for partition, read in records.items()}
        try:
            observed = self._advance(turn)
        except Exception as error:
            logger.exception("SCORE failed on %d batches", sum(map(len, turn.values())))
            observed = self._advance_but_culprits(turn, error)
        variant = self._champion.current()
        outcome = decide_each(observed, variant, self._config.currency, time.time_ns() // 1_000_000, _tell_failure)
        positions = reached(records)
        self._states.advance(positions)
        changed = self._note_variant(variant, {partition: read[0].offset for partition, read in records.items()})

        number = min(records)

        def send(producer: StageProducer) -> None:
            producer.send_all(DECISIONS.name, outcome.decisions)
            for letter in outcome.dead_letters:
                producer.send(DEAD_LETTERS.name, letter, headers=[letter_header(self._seal, letter)])
            for stretch in outcome.log:
                producer.send(
                    SCORING_LOG.name, stretch, partition=number, headers=[self._seal.header(SCORING_LOG.name, number, None, stretch)]
                )

        safe = self._finish(send, positions, changed)
        self._measure(observed, turn)
        self._look_for_gaps()
        return safe

    def figures(self) -> Iterator[tuple[Metric, Value]]:
        """Beside the online store's, how long decisions took; see ``stage_metrics.Measured``."""
        yield from super().figures()
        yield DECISION_SECONDS, self._latency

    def _measure(self, observed: Observed, turn: Mapping[int, Sequence[Batch]]) -> None:
        """Notes how long it took from the broker's timestamp of each transaction until now, when its decision is committed."""
        arrived = batches.arrivals_of(observed.rows, [batch for read in turn.values() for batch in read])
        self._latency.add(time.time() - arrived[arrived > UNSTAMPED] / 1e3)

    def _look_for_gaps(self) -> None:
        positions = self._states.positions
        self._gaps.look({partition: self._states[partition].gaps for partition in positions}, positions)

    def _advance(self, turn: Mapping[int, Sequence[Batch]]) -> Observed:
        return advance([(self._states[partition], read) for partition, read in turn.items()], self.counts)

    def _advance_but_culprits(self, turn: Mapping[int, Sequence[Batch]], failure: Exception) -> Observed:
        """As ``_advance``, but rows that can't be processed are refused."""
        items = [(partition, batch, row) for partition, read in turn.items() for batch in read for row in range(len(batch.rows))]

        def attempt(begin: int, end: int) -> Observed:
            part: dict[int, list[Batch]] = {}
            for partition, read in turn.items():
                for batch in read:
                    if begin < len(batch.rows) and end > 0:
                        first = max(begin, 0)
                        part.setdefault(partition, []).append(replace(batch, rows=batch.rows.slice(first, end - first)))
                    begin, end = begin - len(batch.rows), end - len(batch.rows)
            return self._advance(part)

        def place_of(number: int) -> tuple[int, tuple[int, int]]:
            partition, batch, row = items[number]
            return partition, (batch.rows["source"][row].as_py(), batch.rows["offset"][row].as_py())

        return self._without_culprits(turn, len(items), attempt, place_of, failure)

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
        return ScoreState(self._config.feature_set, self._partition_count, self._sources, self._config.currency)

    def _reapply(self, partition: int, state: ScoreState, records: Sequence[Record]) -> None:
        advance([(state, self._decode(partition, records))], Counter())

    def _decode(self, partition: int, records: Sequence[Record]) -> list[Batch]:
        return [
            batches.decode(record.value or b"", record.headers, (partition, record.offset), self._schema, self._config.feature_set)
            for record in records
            if self._is_ours(partition, record)
        ]

    def _is_ours(self, partition: int, record: Record) -> bool:
        is_ours = self._seal.is_ours(BY_MERCHANT.name, partition, record)
        if not is_ours:
            self.counts["ignored.batches"] += 1
        return is_ours


def _tell_failure(rows: pa.RecordBatch, error: Exception) -> None:
    if len(rows) == 1:
        logger.error("gave up transaction %s: %s", rows["transaction_id"][0], error, exc_info=error)
    else:
        logger.warning("%d transactions can't be decided together, looking for the one at fault: %s", len(rows), error)
