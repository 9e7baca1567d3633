"""When each transaction passed the two logs on its way, read from the logs afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.arrays import Int64
from streams.config import DeploymentConfig
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.messages import batches
from streams.messages.topics import BY_MERCHANT, TRANSACTIONS, Topic

_GROUP = "tidemark-bench"


@dataclass(frozen=True)
class Ends:
    """Where the logs end, an offset a partition; what is read later begins there."""

    transactions: tuple[int, ...]
    by_merchant: tuple[int, ...]


@dataclass(frozen=True)
class Times:
    """Of the records of one partition of ``transactions`` from offset ``first`` on: when the broker took each, when INGEST handed the row
    on (int64 ms UTC, 0 if it has none), and as part of which record (partition and offset)."""

    first: int
    appended: Int64
    ingested: Int64
    merchant_partition: Int64
    merchant_offset: Int64


def ends(config: DeploymentConfig, partitions: int) -> Ends:
    """Where the logs end now."""
    log = KafkaLog(KafkaClients.of(config), _GROUP)

    def of(topic: Topic) -> tuple[int, ...]:
        return tuple(log.bounds(topic.name, partition)[1] for partition in range(partitions))

    try:
        return Ends(of(TRANSACTIONS), of(BY_MERCHANT))
    finally:
        log.close()


def times(config: DeploymentConfig, since: Ends) -> Sequence[Times]:
    """The times of everything behind ``since``, a partition each."""
    log = KafkaLog(KafkaClients.of(config), _GROUP)
    schema = batches.batch_schema(config.feature_set)
    found = []
    try:
        for partition, begin in enumerate(since.transactions):
            _, end = log.bounds(TRANSACTIONS.name, partition)
            appended = np.zeros(end - begin, np.int64)
            for records in log.read(TRANSACTIONS.name, partition, begin, end):
                for record in records:
                    appended[record.offset - begin] = record.timestamp
            found.append(Times(begin, appended, *(np.zeros(end - begin, np.int64) for _ in range(3))))
        for partition, begin in enumerate(since.by_merchant):
            _, end = log.bounds(BY_MERCHANT.name, partition)
            for records in log.read(BY_MERCHANT.name, partition, begin, end):
                for record in records:
                    rows = pa.ipc.read_record_batch(pa.py_buffer(record.value or b""), schema)
                    source, offset = rows["source"].to_numpy(), rows["offset"].to_numpy()
                    for number in np.unique(source).tolist():
                        of = found[number]
                        place = offset[source == number] - of.first
                        of.ingested[place], of.merchant_partition[place], of.merchant_offset[place] = (
                            record.timestamp,
                            partition,
                            record.offset,
                        )
    finally:
        log.close()
    return found
