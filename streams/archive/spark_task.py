"""What runs in Spark's Python workers for the archive: records become rows, and rows become files that don't count yet."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa

from features.offline.parquet_tables import WrittenFile, write_file
from features.offline.storage import Storage
from streams.archive.archived_topics import ARCHIVED
from streams.archive.rows.tables import LogPartition, by_day
from streams.messages.record import LogRecord

RESULT = "path string, day date, rows long, bytes long, refused long"
_RESULT_SCHEMA = pa.schema(
    [("path", pa.string()), ("day", pa.date32()), ("rows", pa.int64()), ("bytes", pa.int64()), ("refused", pa.int64())]
)
# About what a task keeps in memory before it writes files.
_MOST_BYTES = 128 << 20


@dataclass(frozen=True)
class ArchiveTask:
    """For ``mapInArrow`` over partition, offset, timestamp (ms), key, value and headers of a topic's records, each partition's in order.

    It gives the files written, and how many of their rows are of refused records, as ``RESULT``. ``partitions`` is how many the topic has,
    ``answer_key`` what seals are checked by.
    """

    topic: str
    table: Storage
    partitions: int
    currency: str
    answer_key: str = field(repr=False)

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Writes them; the names of the files follow from the records."""
        for partition, offset, rows in self._pieces(batches):
            stem = f"{self.topic}-{partition}-{offset:020d}"
            yield _result([(write_file(self.table, day, stem, of_day), _refused(of_day)) for day, of_day in by_day(rows)])

    def _pieces(self, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, int, pa.Table]]:
        """Partition, first offset and rows of consecutive records of one partition."""
        gathered: list[pa.Table] = []
        partition = first = size = 0
        for number, records in (part for batch in batches for part in _records(batch)):
            if gathered and (number != partition or size >= _MOST_BYTES):
                yield partition, first, pa.concat_tables(gathered)
                gathered, size = [], 0
            if not gathered:
                partition, first = number, records[0].offset
            rows = ARCHIVED[self.topic].rows(LogPartition(number, self.partitions, self.currency, self.answer_key), records)
            gathered.append(rows)
            size += rows.nbytes
        if gathered:
            yield partition, first, pa.concat_tables(gathered)


def _records(batch: pa.RecordBatch) -> Iterator[tuple[int, list[LogRecord]]]:
    """The records of each run of one partition."""
    records = list(
        map(LogRecord, *(batch[name].to_pylist() for name in ("offset", "timestamp", "key", "value")), _headers(batch["headers"]))
    )
    partitions = batch["partition"].to_numpy()
    cuts = [0, *(np.flatnonzero(np.diff(partitions)) + 1).tolist(), len(records)]
    for begin, end in pairwise(cuts):
        if begin < end:
            yield int(partitions[begin]), records[begin:end]


def _headers(column: pa.ListArray) -> list[list[tuple[str, bytes]]]:
    keys, values = (column.values.field(name).to_pylist() for name in ("key", "value"))
    pairs = list(zip(keys, values, strict=True))
    return [pairs[begin:end] for begin, end in pairwise(column.offsets.to_pylist())]


def _refused(rows: pa.Table) -> int:
    return len(rows) - int(rows["refused"].null_count)


def _result(files: list[tuple[WrittenFile, int]]) -> pa.RecordBatch:
    rows = [{"path": file.path, "day": file.day, "rows": file.rows, "bytes": file.bytes, "refused": refused} for file, refused in files]
    return pa.RecordBatch.from_pylist(rows, _RESULT_SCHEMA)
