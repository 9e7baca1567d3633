"""How many transactions each record of a stage's source holds, read after a run."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from features.arrays import RecordKind
from streams.config import INGEST, SCORE, DeploymentConfig
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.messages import batches
from streams.messages.headers import LABEL
from streams.messages.record import LogRecord
from streams.workers.stages import STAGES
from tests.benchmarks.figures.rates import Contents

_GROUP = "tidemark-bench"


def contents(config: DeploymentConfig, stage: str, partitions: int) -> list[Contents]:
    """The whole log of the stage's source topic, a partition each."""
    topic = STAGES[stage].topic.name
    counts: dict[str, Callable[[LogRecord], int]] = {INGEST: _is_transaction, SCORE: _BatchSize(config)}
    count = counts[stage]
    log = KafkaLog(KafkaClients.of(config), _GROUP)
    try:
        found = []
        for partition in range(partitions):
            begin, end = log.bounds(topic, partition)
            pairs = [(record.offset, count(record)) for records in log.read(topic, partition, begin, end) for record in records]
            offset, number = np.array(pairs, np.int64).reshape(-1, 2).T
            found.append(Contents(offset, np.cumsum(number)))
        return found
    finally:
        log.close()


def _is_transaction(record: LogRecord) -> int:
    # What ends a replay has no value.
    return int(record.value is not None and LABEL not in dict(record.headers))


class _BatchSize:
    """Counts the transactions of a batch."""

    def __init__(self, config: DeploymentConfig) -> None:
        self._schema = batches.batch_schema(config.feature_set)

    def __call__(self, record: LogRecord) -> int:
        rows = pa.ipc.read_record_batch(pa.py_buffer(record.value or b""), self._schema)
        return int(np.count_nonzero(rows["kind"].to_numpy() == RecordKind.TRANSACTION))
