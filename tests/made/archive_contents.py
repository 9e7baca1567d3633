"""What an archive must be: each committed record of Kafka once, however it is read."""

from collections import Counter

import pyarrow as pa
import pyarrow.fs as pa_fs
import pyarrow.parquet as pq

from features.offline.parquet_tables import OfflineTable
from features.offline.storage import Storage
from streams.archive.archived_topics import ARCHIVED
from tests.run.deployment import Deployment


def assert_each_record_is_there_once(deployment: Deployment, store: Storage) -> None:
    """For readers by the table's log and for those that just take all files, and nothing that was aborted."""
    filesystem, _ = store.arrow()
    for topic, archived in ARCHIVED.items():
        expected = records_of(deployment, topic)
        if not expected:
            continue
        names = ["partition", "offset", *(["row"] if topic == "scoring-log" else [])]
        committed = OfflineTable(store, topic, archived.schema).read(names)
        plain = [pq.read_table(path, filesystem=filesystem, columns=names, partitioning=None) for path in files_of(store, topic)]
        for seen in (committed, pa.concat_tables(plain)):
            rows = Counter(zip(*seen.to_pydict().values(), strict=True))
            assert set(rows.values()) == {1}, topic
            assert {row[:2] for row in rows} == expected, topic


def records_of(deployment: Deployment, topic: str) -> set[tuple[int, int]]:
    """The committed records of a topic as a consumer sees them that has nothing to do with ours."""
    return {(record.partition, record.offset) for record in deployment.read(topic)}


def files_of(store: Storage, topic: str) -> list[str]:
    """All Parquet files in a table's folders, whatever its log says."""
    filesystem, root = store.at(topic).arrow()
    found = filesystem.get_file_info(pa_fs.FileSelector(root, recursive=True, allow_not_found=True))
    return [file.path for file in found if file.path.endswith(".parquet") and "_delta_log" not in file.path]
