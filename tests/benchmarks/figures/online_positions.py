"""Up to where the stages are written to the online store."""

from collections.abc import Mapping
from contextlib import suppress

from features.online.feast_store import OnlineStoreError, OnlineWriter
from streams.config import DeploymentConfig


class OnlinePositions:
    """Of each stage with so many partitions: next offsets of what is written. Keeps its connections until it is closed."""

    def __init__(self, config: DeploymentConfig, partitions: Mapping[str, int]) -> None:
        self._partitions = partitions
        digest = config.feature_set.digest
        self._seen: dict[str, tuple[int, ...]] = {stage: (0,) * number for stage, number in partitions.items()}
        self._writers = {stage: OnlineWriter(config.feast_path, config.application, stage, digest) for stage in partitions}

    def look(self) -> dict[str, tuple[int, ...]]:
        """Next offsets by stage, one a partition; 0 where nothing is written. Where the store doesn't answer, what it said before."""
        for stage, writer in self._writers.items():
            # A store that is late once is what a measurement may well see; what was written then is told too low, never too high.
            with suppress(OnlineStoreError):
                positions = writer.projected()
                self._seen[stage] = tuple(positions.get(partition, 0) for partition in range(self._partitions[stage]))
        return dict(self._seen)

    def close(self) -> None:
        """Ends the connections."""
        for writer in self._writers.values():
            writer.close()
