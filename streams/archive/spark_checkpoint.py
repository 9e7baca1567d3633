"""Reads the checkpoint of a Spark stream that has one Kafka topic as its source: which offsets its batches have."""

import re

import pyarrow.fs as pa_fs

from features.offline.storage import Storage
from streams.archive.position import CheckpointPosition, Offsets, offsets_in

# Where Spark keeps the offsets at which the first batch begins; those at which batch n ends are in offsets/n, written before it begins, and
# commits/n is there once it is over.
_INITIAL = "sources/0/0"


class Checkpoint:
    """The checkpoint of the topic's stream."""

    def __init__(self, storage: Storage, topic: str) -> None:
        self.storage = storage
        self._topic = topic

    def position(self) -> CheckpointPosition | None:
        """Where it stands; None if nothing was ever begun."""
        over = self._newest("commits")
        batches = 0 if over is None else over + 1
        try:
            done = self.begin(batches)
        except FileNotFoundError:
            return None
        try:
            return CheckpointPosition(batches, done, self.end(batches))
        except FileNotFoundError:
            return CheckpointPosition(batches, done)

    def begin(self, batch: int) -> Offsets:
        """The offsets at which a batch begins. Raises FileNotFoundError if it wasn't planned."""
        return self.end(batch - 1) if batch else self._read(_INITIAL)

    def end(self, batch: int) -> Offsets:
        """The offsets before which a batch ends. Raises FileNotFoundError if it wasn't planned."""
        return self._read(f"offsets/{batch}")

    def _read(self, name: str) -> Offsets:
        filesystem, root = self.storage.arrow()
        with filesystem.open_input_stream(f"{root}/{name}") as file:
            return offsets_in(file.read().decode(), self._topic)

    def _newest(self, folder: str) -> int | None:
        filesystem, root = self.storage.arrow()
        files = filesystem.get_file_info(pa_fs.FileSelector(f"{root}/{folder}", allow_not_found=True))
        return max((int(file.base_name) for file in files if re.fullmatch(r"\d+", file.base_name)), default=None)
