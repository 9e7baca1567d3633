"""The catalogue's metrics as prometheus-client has them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client import Metric as Family
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from streams.metrics.catalogue import OTHER, Metric
from streams.metrics.tally import Tally

Value: TypeAlias = float | Tally
Figure: TypeAlias = tuple[Metric, tuple[str, ...], Value]
"""A metric, the values of its labels in their order, and what it stands at."""


def counter(metric: Metric, registry: CollectorRegistry) -> Counter:
    """A counter to be counted up by hand."""
    return Counter(metric.name, metric.says, metric.label_names, registry=registry)


def gauge(metric: Metric, registry: CollectorRegistry) -> Gauge:
    """A gauge to be set by hand."""
    return Gauge(metric.name, metric.says, metric.label_names, registry=registry)


def histogram(metric: Metric, registry: CollectorRegistry) -> Histogram:
    """A histogram that observes value by value."""
    return Histogram(metric.name, metric.says, metric.label_names, buckets=metric.bounds, registry=registry)


@dataclass
class Families:
    """Makes families of figures. Of each label it lets as many values through as the catalogue allows, those that it saw first; others are
    added up under OTHER, so that a process can't flood whoever scrapes it."""

    _seen: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def of(self, figures: Iterable[Figure]) -> list[Family]:
        """One family a metric, in the order in which they come."""
        by_metric: dict[Metric, dict[tuple[str, ...], list[Value]]] = {}
        for metric, labels, value in figures:
            by_metric.setdefault(metric, {}).setdefault(self._allowed(metric, labels), []).append(value)
        return [_family(metric, values) for metric, values in by_metric.items()]

    def _allowed(self, metric: Metric, values: tuple[str, ...]) -> tuple[str, ...]:
        allowed = []
        for label, value in zip(metric.labels, values, strict=True):
            seen = self._seen.setdefault((metric.name, label.name), set())
            if len(seen) < label.most:
                seen.add(value)
            allowed.append(value if value in seen else OTHER)
        return tuple(allowed)


def _family(metric: Metric, values: Mapping[tuple[str, ...], list[Value]]) -> Family:
    names = metric.label_names
    if metric.kind == "histogram":
        histograms = HistogramMetricFamily(metric.name, metric.says, labels=names)
        for labels, tallies in values.items():
            counts = [sum(column) for column in zip(*(each.counts.tolist() for each in tallies if isinstance(each, Tally)), strict=True)]
            bounds = [*(str(bound) for bound in metric.bounds), "+Inf"]
            total = sum(each.sum for each in tallies if isinstance(each, Tally))
            histograms.add_metric(labels, list(zip(bounds, accumulate(counts), strict=True)), total)
        return histograms
    family = (CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily)(metric.name, metric.says, labels=names)
    for labels, numbers in values.items():
        family.add_metric(labels, sum(each for each in numbers if not isinstance(each, Tally)))
    return family
