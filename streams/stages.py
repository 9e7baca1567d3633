"""The stages: each reads one topic, partition by partition.

What a stage alone needs is imported when it is connected: a stage's process starts in a fraction of the time that all of it would take.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streams.config import StreamConfig
from streams.partitions import Pace, PartitionWorker
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
    """A stage by name. ``most_fetched`` bounds the records of a fetch, ``pace`` those of a batch."""

    name: str
    topic: Topic
    connect: Callable[[StreamConfig], Workers]
    most_fetched: int
    pace: Pace
    threads: int = 4


def _labels(config: StreamConfig) -> Workers:
    from streams import kafka_labels

    return Workers(lambda partition: kafka_labels.LabelsPartition(config, partition), lambda: None)


def _ingest(config: StreamConfig) -> Workers:
    from streams import kafka_ingest
    from streams.kafka_topics import partition_count
    from streams.project import Projector

    partitions = partition_count(config.kafka, TRANSACTIONS.name)
    merchant_partitions = partition_count(config.kafka, BY_MERCHANT.name)
    projector = Projector(config.feast_path, config.application, INGEST)
    retained: dict[int, tuple[IngestState, int]] = {}
    return Workers(
        lambda partition: kafka_ingest.IngestPartition(config, partition, partitions, merchant_partitions, projector, retained),
        projector.close,
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
        Stage(LABELS_COPY, LABELS, _labels, most_fetched=5_000, pace=Pace(5_000, _MB, 0.01)),
        Stage(INGEST, TRANSACTIONS, _ingest, most_fetched=8_000, pace=Pace(8_000, 8 * _MB, 0.01)),
        # A record here is a batch of one to some thousand transactions, of some 200 bytes each.
        Stage(SCORE, BY_MERCHANT, _score, most_fetched=2_000, pace=Pace(2_000, 2 * _MB, 0.02)),
    )
}
