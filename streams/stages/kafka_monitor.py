"""MONITOR: counts what decisions rested on, by hour and model version, and reports each hour once it is over."""

import time
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.monitoring.layout import Layout
from models.monitoring.reference import SCORE
from streams.config import MONITOR, DeploymentConfig
from streams.control.mlflow_references import References
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients
from streams.kafka.positions import Positions, reached
from streams.kafka.producer import Membership, StageProducer
from streams.messages import scoring_log
from streams.messages.record import Record
from streams.messages.topics import MONITOR_HOURS, SCORING_LOG, STATE_MONITOR
from streams.monitor.tally import Place, Report, Tally, decode_tally, encode
from streams.stages.kafka_kept import KeptStage

# A partition that brings nothing for so long holds nobody up, if it has been read to its end; one whose end isn't known, after a minute.
_IDLE_S, _SILENT_S = 5.0, 60.0


class MonitorWorker(KeptStage[Tally]):
    """A ``partitions.StageWorker``. Its reports, its state and its positions become visible at once or never."""

    def __init__(self, config: DeploymentConfig) -> None:
        super().__init__(config, MONITOR, SCORING_LOG, STATE_MONITOR)
        self._partitions = partition_count(KafkaClients.of(config), SCORING_LOG.name)
        self._names, self._features = config.feature_set.names, config.feature_set.digest
        self._references = References(config.mlflow)
        self._layouts: dict[str, Layout | None] = {}
        self._read_at: dict[int, float] = {}

    def open(self, partitions: Collection[int], membership: Membership) -> Positions:
        """See ``KeptStage``."""
        positions = super().open(partitions, membership)
        now = time.monotonic()
        # Of a partition that is read to its end already nothing is on its way.
        self._read_at = {number: now - _IDLE_S if self._is_read(number) else now for number in partitions}
        return positions

    def process(self, records: Mapping[int, Sequence[Record]]) -> Positions:
        """Counts the records' decisions and reports what is over."""
        for number, read in records.items():
            self._read_at[number] = time.monotonic()
            self._count(number, read)
        positions = reached(records)
        return self._report(
            [self._states[number].report(self._place(number, position)) for number, position in positions.items()], positions
        )

    def tick(self) -> Positions:
        """Says of partitions that bring nothing that nobody need wait for them."""
        idle = [number for number in self._states if self._is_idle(number)]
        positions = {number: self.positions[number] for number in idle}
        reports = [self._states[number].report(self._place(number, position), idle=True) for number, position in positions.items()]
        return self._report(reports, positions) if any(reports) else {}

    def _place(self, number: int, position: int) -> Place:
        return Place(self._source_id, number, self._partitions, position)

    def _report(self, reports: Sequence[Report | None], positions: Positions) -> Positions:
        said = [encode(report) for report in reports if report is not None]

        def send(producer: StageProducer) -> None:
            for report in said:
                producer.send(MONITOR_HOURS.name, report, partition=0, headers=[self._seal.header(MONITOR_HOURS.name, 0, None, report)])

        return self._commit(send, positions)

    def _count(self, number: int, read: Sequence[Record]) -> None:
        ours = [record for record in read if self._seal.is_ours(SCORING_LOG.name, number, record)]
        self.counts["ignored.records"] += len(read) - len(ours)
        if not ours:
            return
        rows = pa.concat_tables([scoring_log.decode(record.value or b"") for record in ours], promote_options="permissive")
        self.counts["decisions"] += len(rows)
        digests = rows["model_digest"].cast(pa.string())
        for digest in pc.unique(digests).to_pylist():
            self._count_version(number, digest, rows.filter(pc.equal(digests, digest)))

    def _count_version(self, number: int, digest: str, rows: pa.Table) -> None:
        layout = self._layout(digest, rows)
        if layout is None:
            self.counts["without.reference"] += len(rows)

        def columns() -> dict[str, npt.NDArray[np.floating]]:
            values = scoring_log.vectors(rows)
            return {
                **{name: values[:, place] for place, name in enumerate(self._names)},
                SCORE: rows["probability"].to_numpy(),
            }

        version = rows["model_version"].cast(pa.string())[-1].as_py()
        self._states[number].add(digest, version, rows["event_time"].to_numpy(), columns, layout)

    def _layout(self, digest: str, rows: pa.Table) -> Layout | None:
        """That of the version's reference, if it has one and these rows have its features."""
        if not pc.all(pc.equal(rows["features_digest"].cast(pa.string()), self._features)).as_py():
            return None
        if digest not in self._layouts:
            reference = self._references.of(digest)
            self._layouts[digest] = None if reference is None else Layout.of(reference)
        return self._layouts[digest]

    def _is_idle(self, number: int) -> bool:
        silent = time.monotonic() - self._read_at[number]
        if silent < _IDLE_S or self._states[number].idle:
            return False
        return silent >= _SILENT_S or self._is_read(number)

    def _is_read(self, number: int) -> bool:
        # What a transaction writes is followed by its mark, which is no record.
        _, end = self._log.bounds(SCORING_LOG.name, number)
        return end - self.positions[number] <= 1

    def _restored(self, encoded: bytes | None) -> Tally:
        return Tally() if encoded is None else decode_tally(encoded)

    def _encoded(self, state: Tally) -> bytes:
        return encode(state)
