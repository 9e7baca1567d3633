import re

import pytest

from streams.audit.causes import CAUSES
from streams.metrics.catalogue import API_SECONDS, AUDIT_MISMATCHES, DECISION_SECONDS, METRICS, STAGE_RECORDS, Metric
from streams.metrics.prometheus_docs import PAGE, page

# What Prometheus takes from a process without a second thought.
MOST_SERIES = 2_000
BY_NAME = {metric.name: metric for metric in METRICS}


def test_a_name_stands_in_the_list_once() -> None:
    assert len(BY_NAME) == len(METRICS)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_name_says_whose_what_and_in_which_unit(metric: Metric) -> None:
    assert re.fullmatch(r"tidemark_(stage|decision|online|api|audit)_[a-z_]+", metric.name)
    assert (metric.kind == "counter") == metric.name.endswith("_total")
    assert (metric.unit == "seconds") == metric.name.endswith("_seconds")
    assert metric.says[-1] == "."
    assert all(re.fullmatch("[a-z]+", label.name) for label in metric.labels)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_bounds_rise_and_only_histograms_have_any(metric: Metric) -> None:
    assert (metric.kind == "histogram") == bool(metric.bounds)
    assert list(metric.bounds) == sorted(set(metric.bounds))


@pytest.mark.parametrize("metric", [DECISION_SECONDS, API_SECONDS], ids=lambda metric: metric.name)
def test_objectives_are_bounds(metric: Metric) -> None:
    assert {0.005, 0.01, 0.02, 0.05, 0.1, 0.3} < set(metric.bounds)


@pytest.mark.parametrize("process", ["stage", "api", "audit"])
def test_what_a_process_can_serve_is_bounded(process: str) -> None:
    assert 0 < sum(metric.most_series for metric in METRICS if metric.process == process) <= MOST_SERIES


def test_no_value_that_we_give_a_label_falls_under_other() -> None:
    assert len(CAUSES) + 1 <= AUDIT_MISMATCHES.labels[0].most
    source = "".join(file.read_text() for file in (PAGE.parents[1] / "streams").rglob("*.py"))
    reasons = set(re.findall(r'RefusedError\(\s*"(\w+)"', source))
    assert len(reasons) > 5
    assert len(reasons) + 30 <= STAGE_RECORDS.labels[1].most


def test_the_page_of_metrics_is_the_list() -> None:
    assert PAGE.read_text() == page(PAGE.read_text()), "python -m streams.metrics.prometheus_docs writes it anew"
