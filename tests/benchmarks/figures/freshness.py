"""When the online store can be read with each transaction in it."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import pyarrow as pa

from features.arrays import Float64, Int64
from features.errors import UserError
from streams.config import INGEST, SCORE, DeploymentConfig
from tests.benchmarks.figures.hops import Times
from tests.benchmarks.figures.online_positions import OnlinePositions
from tests.benchmarks.figures.stage_sampling import MEASURED

_EVERY_S = 0.01
_PATIENCE_S = 10.0


class OnlineWatch:
    """Notes, while its block lasts, up to where each partition of both stages is written to the online store, every 10 ms."""

    def __init__(self, config: DeploymentConfig, partitions: int) -> None:
        self._positions = OnlinePositions(config, dict.fromkeys(MEASURED, partitions))
        self._at: list[float] = []
        self._seen: dict[str, list[tuple[int, ...]]] = {stage: [] for stage in MEASURED}
        self._over = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="online watch", daemon=True)

    def __enter__(self) -> Self:
        """Looks from now on."""
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the thread and the connections."""
        self._over.set()
        self._thread.join()
        self._positions.close()

    def readable(self, arrived: pa.Table, times: Sequence[Times]) -> dict[str, Float64]:
        """When (ms UTC) the user's and the merchant's state could be read with each transaction in it, given decisions and the logs' times;
        waits for that. Raises UserError if it takes longer than 10 s."""
        partition, offset = arrived["partition"].to_numpy(), arrived["offset"].to_numpy()
        merchant = np.empty((2, len(offset)), np.int64)
        for number, known in enumerate(times):
            here = partition == number
            place = offset[here] - known.first
            merchant[:, here] = known.merchant_partition[place], known.merchant_offset[place]
        return {"user": self._when(INGEST, partition, offset), "merchant": self._when(SCORE, *merchant)}

    def _when(self, stage: str, partition: Int64, offset: Int64) -> Float64:
        self._wait_until(stage, {number: int(offset[partition == number].max()) + 1 for number in np.unique(partition).tolist()})
        looked = len(self._seen[stage])
        return first_after(np.array(self._at[:looked]), np.array(self._seen[stage], np.int64)[:looked], partition, offset)

    def _wait_until(self, stage: str, ends: Mapping[int, int]) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while any(self._seen[stage][-1][number] < end for number, end in ends.items()):
            if self._failure is not None:
                raise self._failure
            if time.monotonic() > deadline:
                raise UserError(f"{stage} has written {self._seen[stage][-1]} of {ends} to the online store; see its messages above")
            time.sleep(_EVERY_S)

    def _run(self) -> None:
        try:
            while not self._over.wait(_EVERY_S):
                self._look()
        except Exception as error:
            self._failure = error

    def _look(self) -> None:
        found = self._positions.look()
        self._at.append(time.time() * 1000)
        for stage, positions in found.items():
            self._seen[stage].append(positions)


def first_after(at: Float64, positions: Int64, partition: Int64, offset: Int64) -> Float64:
    """When each record's partition was first seen to stand behind its offset. ``positions`` (n × partitions, next offsets that never fall)
    were seen at the times ``at``. Raises ValueError if one never did."""
    found = np.empty(len(offset))
    for number in np.unique(partition).tolist():
        here = partition == number
        sample = np.searchsorted(positions[:, number], offset[here], side="right")
        if sample.max() == len(at):
            raise ValueError(f"records of partition {number} were never seen behind")
        found[here] = at[sample]
    return found
