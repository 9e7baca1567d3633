"""What a stage's process counts, as Prometheus scrapes it."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from features.errors import UserError

NAME = "tidemark_stage_records"


class StageCounts(Collector):
    """``tidemark_stage_records_total{stage, what}``: the counts as they are when asked for, such as late, too_late, duplicates and
    refused.<reason>; ``streams/ingest.py`` and ``streams/score.py`` say what each means. They begin anew with the process."""

    def __init__(self, stage: str, counts: Mapping[str, int]) -> None:
        self._stage, self._counts = stage, counts

    def collect(self) -> Iterator[Metric]:
        """See ``Collector``."""
        family = CounterMetricFamily(NAME, "Records by what a stage found about them.", labels=["stage", "what"])
        # A copy at once, for the stage's thread goes on counting.
        for what, count in sorted(dict(self._counts).items()):
            family.add_metric([self._stage, what], count)
        yield family


def serve(address: str, place: int, stage: str, counts: Mapping[str, int]) -> None:
    """Serves them at ``host:port``, ``place`` ports further, until the process ends. Raises UserError if nothing can be served there."""
    host, _, port = address.rpartition(":")
    registry = CollectorRegistry()
    registry.register(StageCounts(stage, counts))
    try:
        start_http_server(int(port) + place, host, registry)
    except (OSError, OverflowError) as error:
        raise UserError(
            f"metrics can't be served at {host}:{int(port) + place} ({error}); give this worker another address with --metrics"
        ) from error
