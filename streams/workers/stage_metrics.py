"""What a stage's process says of itself, as Prometheus scrapes it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, runtime_checkable

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, start_http_server
from prometheus_client.registry import Collector

from features.errors import UserError
from streams.metrics import catalogue
from streams.metrics.prometheus_collectors import Families, Figure, Value
from streams.workers.partitions import Partitions, StageWorker


@runtime_checkable
class Measured(Protocol):
    """A stage that measures more of itself than it counts."""

    def figures(self) -> Iterable[tuple[catalogue.Metric, Value]]:
        """What it stands at; its metrics have the stage as their only label. May be called from any thread."""


Ends = Callable[[], Mapping[int, tuple[int, int]]]


class StageMetrics(Collector):
    """A stage's figures as they are when asked for: what the stage counts and measures, its turns, and where it stands in its topic.

    ``ends`` gives, by partition, a position and the log's end as of one moment.
    """

    def __init__(self, stage: str, worker: StageWorker, partitions: Partitions, ends: Ends) -> None:
        self._stage, self._worker, self._partitions, self._ends = stage, worker, partitions, ends
        self._families = Families()

    def collect(self) -> Iterator[Metric]:
        """See ``Collector``."""
        yield from self._families.of(self._figures())

    def describe(self) -> Iterator[Metric]:
        """Nothing: to be registered is no reason to ask the stage."""
        return iter(())

    def _figures(self) -> Iterator[Figure]:
        stage = self._stage
        # A copy at once, for the stage's thread goes on counting.
        for what, count in sorted(dict(self._worker.counts).items()):
            yield catalogue.STAGE_RECORDS, (stage, what), count
        yield catalogue.STAGE_READY, (stage,), float(self._worker.ready())
        yield catalogue.STAGE_TURN, (stage,), self._partitions.turns
        yield catalogue.STAGE_TAKEN, (stage,), self._partitions.taken
        for partition, position in dict(self._partitions.positions()).items():
            yield catalogue.STAGE_POSITION, (stage, str(partition)), position
        for partition, (position, end) in dict(self._ends()).items():
            yield catalogue.STAGE_LOG_END, (stage, str(partition)), end
            yield catalogue.STAGE_LAG, (stage, str(partition)), max(0, end - position)
        if isinstance(self._worker, Measured):
            for metric, value in self._worker.figures():
                yield metric, (stage,), value


def serve(address: str, place: int, metrics: StageMetrics) -> None:
    """Serves them at ``host:port``, ``place`` ports further, until the process ends. Raises UserError if nothing can be served there."""
    host, _, port = address.rpartition(":")
    registry = CollectorRegistry()
    registry.register(metrics)
    ProcessCollector(registry=registry)
    try:
        start_http_server(int(port) + place, host, registry)
    except (OSError, OverflowError) as error:
        raise UserError(
            f"metrics can't be served at {host}:{int(port) + place} ({error}); give this worker another address with --metrics"
        ) from error
