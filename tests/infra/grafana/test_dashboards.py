"""The dashboards are what `infra/grafana/panels.py` says, and ask for nothing that nobody serves."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.grafana.__main__ import FOLDER, dashboard
from infra.grafana.panels import BOARDS, Board
from streams.metrics.catalogue import METRICS

ROOT = Path(__file__).parents[3]
RULES = {file.stem: yaml.safe_load(file.read_text()) for file in (ROOT / "infra" / "prometheus" / "rules").glob("*.yml")}
SLOS = {file.stem: yaml.safe_load(file.read_text()) for file in (ROOT / "infra" / "slo").glob("*.yml")}
# What every scraped process has, and what Prometheus makes itself.
OTHERS = {
    *("up", "ALERTS", "scrape_duration_seconds", "scrape_samples_post_metric_relabeling"),
    *("process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds"),
}
NAMES = re.compile(r"\b(?:tidemark|slo|process|scrape)[_:][\w:]+|\bup\b|\bALERTS\b")
SERVED = {
    name
    for metric in METRICS
    for name in ([f"{metric.name}_{part}" for part in ("bucket", "sum", "count")] if metric.kind == "histogram" else [metric.name])
}
RECORDED = {rule["record"] for file in RULES.values() for group in file["groups"] for rule in group["rules"] if "record" in rule}
QUERIES = [query.expression for board in BOARDS for _, panels in board.rows for panel in panels for query in panel.queries]
EXPRESSIONS = [rule["expr"] for file in RULES.values() for group in file["groups"] for rule in group["rules"]]


def names_in(expression: str) -> set[str]:
    return set(NAMES.findall(re.sub(r'"[^"]*"', "", expression)))


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_a_dashboard_is_what_its_panels_say(board: Board) -> None:
    assert (FOLDER / f"{board.name}.json").read_text() == dashboard(board), "python -m infra.grafana writes the dashboards anew"


def test_no_other_dashboard_lies_there() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == {board.name for board in BOARDS}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_panels_have_numbers_of_their_own_and_do_not_overlap(board: Board) -> None:
    panels: list[dict[str, Any]] = json.loads((FOLDER / f"{board.name}.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = [
        (x, y)
        for panel in panels
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24
    for panel in panels:
        targets = [target["refId"] for target in panel.get("targets", [])]
        assert len(set(targets)) == len(targets)


@pytest.mark.parametrize("expression", [*QUERIES, *EXPRESSIONS])
def test_what_panels_and_rules_ask_for_is_served_or_recorded(expression: str) -> None:
    assert names_in(expression) <= SERVED | RECORDED | OTHERS


def test_every_metric_of_ours_is_on_a_dashboard_or_in_a_rule() -> None:
    asked = set().union(*(names_in(expression) for expression in [*QUERIES, *EXPRESSIONS]))
    assert [metric.name for metric in METRICS if not {name for name in asked if name.startswith(metric.name)}] == []


def test_every_objective_has_its_rules_and_alerts() -> None:
    rules = [rule for file in RULES.values() for group in file["groups"] for rule in group["rules"]]
    for spec in SLOS.values():
        for slo in spec["slos"]:
            identity = f"{spec['service']}-{slo['name']}"
            recorded = {rule["record"] for rule in rules if rule.get("labels", {}).get("sloth_id") == identity and "record" in rule}
            assert {"slo:sli_error:ratio_rate5m", "slo:sli_error:ratio_rate3d", "slo:period_error_budget_remaining:ratio"} <= recorded
            severities = [rule["labels"]["severity"] for rule in rules if rule.get("alert") == slo["alerting"]["name"]]
            assert severities == ["page", "ticket"]


def test_every_alert_is_put_to_the_test() -> None:
    files = (ROOT / "tests" / "infra" / "prometheus").glob("*.yml")
    fired = {
        case["alertname"]
        for file in files
        for test in yaml.safe_load(file.read_text())["tests"]
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert {rule["alert"] for file in RULES.values() for group in file["groups"] for rule in group["rules"] if "alert" in rule} == fired
