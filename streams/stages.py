"""The stages: each reads one topic, partition by partition.

What a stage alone needs is imported when it is connected: a stage's process starts in a fraction of the time that all of it would take.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streams.config import StreamConfig
from streams.partitions import Limit, PartitionWorker
from streams.topics import BY_MERCHANT, LABELS, TRANSACTIONS, Topic

if TYPE_CHECKING:
    from streams.ingest import IngestState
    from streams.score import ScoreState

_MB = 1 << 20

LABELS_COPY, INGEST, SCORE = "labels", "ingest", "score"


@dataclass(frozen=True)
class Workers:
    """Makes the workers of one process's partitions, which share connections; ``close`` ends those."""

    partition: Callable[[int], PartitionWorker]
    close: Callable[[], None]


@dataclass(frozen=True)
class Stage:
    """A stage by name.

    ``fetch_wait``: how long (s) records are gathered at low rates. A batch costs as much as hundreds of records (a transaction, Arrow,
    hand-overs between threads and processes), so the wait saves more time than it takes. ``threads``: how many partitions work at once.
    """

    name: str
    topic: Topic
    connect: Callable[[StreamConfig], Workers]
    fetch_wait: float
    most_fetched: int
    limit: Limit
    threads: int


def _labels(config: StreamConfig) -> Workers:
    from streams import kafka_labels
    from streams.kafka_producer import StageProducer

    producer = StageProducer(config.kafka)
    return Workers(lambda partition: kafka_labels.LabelsPartition(config, partition, producer), producer.close)


def _ingest(config: StreamConfig) -> Workers:
    from streams import kafka_ingest
    from streams.kafka_producer import StageProducer
    from streams.kafka_topics import partition_count
    from streams.project import Projector

    partitions = partition_count(config.kafka, TRANSACTIONS.name)
    merchant_partitions = partition_count(config.kafka, BY_MERCHANT.name)
    projector = Projector(config.feast_path, config.application, INGEST)
    producer = StageProducer(config.kafka)
    retained: dict[int, tuple[IngestState, int]] = {}

    def close() -> None:
        projector.close()
        producer.close()

    return Workers(
        lambda partition: kafka_ingest.IngestPartition(config, partition, partitions, merchant_partitions, producer, projector, retained),
        close,
    )


def _score(config: StreamConfig) -> Workers:
    from streams import kafka_score
    from streams.champion import Champion
    from streams.project import Projector

    champion = Champion(config.mlflow, config.feature_set)
    projector = Projector(config.feast_path, config.application, SCORE)
    retained: dict[int, tuple[ScoreState, int]] = {}

    def close() -> None:
        projector.close()
        champion.close()

    return Workers(lambda partition: kafka_score.ScorePartition(config, partition, champion.current, projector, retained), close)


STAGES = {
    stage.name: stage
    for stage in (
        Stage(LABELS_COPY, LABELS, _labels, fetch_wait=0.2, most_fetched=5_000, limit=Limit(5_000, _MB), threads=1),
        Stage(INGEST, TRANSACTIONS, _ingest, fetch_wait=0.02, most_fetched=8_000, limit=Limit(8_000, 8 * _MB), threads=1),
        # A record here is a batch of one to some thousand transactions, of some 200 bytes each.
        # More threads than one, for a transaction's commit is waited for.
        Stage(SCORE, BY_MERCHANT, _score, fetch_wait=0.03, most_fetched=2_000, limit=Limit(2_000, 2 * _MB), threads=4),
    )
}
