"""Up to where the stages are written to the online store."""

from collections.abc import Mapping

from features.feast_online import OnlineWriter
from streams.config import StreamConfig


class OnlinePositions:
    """Of each stage with so many partitions: next offsets of what is written. Keeps its connections until it is closed."""

    def __init__(self, config: StreamConfig, partitions: Mapping[str, int]) -> None:
        self._partitions = partitions
        digest = config.feature_set.digest
        self._writers = {stage: OnlineWriter(config.feast_path, config.application, stage, digest) for stage in partitions}

    def look(self) -> dict[str, tuple[int, ...]]:
        """Next offsets by stage, one a partition; 0 where nothing is written."""
        found = {stage: writer.projected() for stage, writer in self._writers.items()}
        return {
            stage: tuple(positions.get(partition, 0) for partition in range(self._partitions[stage])) for stage, positions in found.items()
        }

    def close(self) -> None:
        """Ends the connections."""
        for writer in self._writers.values():
            writer.close()
