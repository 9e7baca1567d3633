"""What the dashboards show: as data, from which ``python -m infra.grafana`` makes them."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Query:
    """An expression of PromQL, and how each of its series is called."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """``unit`` is Grafana's name of one; ``shown`` as lines over time, or as its newest value. ``line`` draws an objective."""

    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    says: str = ""
    shown: Literal["lines", "value"] = "lines"
    line: float | None = None


@dataclass(frozen=True)
class Board:
    """A dashboard: its file's name and id, its title, and its panels by row."""

    name: str
    title: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]


def _quantiles(metric: str, by: str = "", where: str = "") -> tuple[Query, ...]:
    legend = f"{{{{{by}}}}} " if by else ""
    by_le = f"le, {by}" if by else "le"
    rate = f"sum by ({by_le}) (rate({metric}_bucket{where}[$__rate_interval]))"
    return tuple(Query(f"histogram_quantile({share}, {rate})", f"{legend}{name}") for share, name in ((0.5, "median"), (0.99, "99 %")))


_DECISIONS = Panel("Decisions a second", (Query("tidemark:decisions:rate1m", "by the stream"),), "ops")
_LATENCY = Panel(
    "Produce to decision",
    _quantiles("tidemark_decision_seconds"),
    "s",
    "From the broker's timestamp of a transaction until its decision was committed. The objective: 99 % within 100 ms.",
    line=0.1,
)
_LAG = Panel("Records to be processed", (Query("tidemark:stage_lag_records:sum", "{{stage}}"),), "short", "By stage, all partitions.")
_AGE = Panel(
    "Online store: oldest change not written",
    (Query("max by (stage) (tidemark_online_age_seconds)", "{{stage}}"),),
    "s",
    "The objective: 1 s.",
    line=1.0,
)
_API_RATE = Panel(
    "API answers a second", (Query("sum by (status) (rate(tidemark_api_requests_total[$__rate_interval]))", "{{status}}"),), "reqps"
)
_API_LATENCY = Panel("API: time to answer", _quantiles("tidemark_api_request_seconds", "route"), "s", line=0.1)
_BUDGET = Panel(
    "Error budget left, of 30 days",
    (Query("slo:period_error_budget_remaining:ratio", "{{sloth_service}} {{sloth_slo}}"),),
    "percentunit",
    "Below 0 the objective is missed.",
)
_BURN = Panel(
    "Error budget burnt, times what is allowed",
    (Query("slo:current_burn_rate:ratio", "{{sloth_service}} {{sloth_slo}}"),),
    "short",
    "At 1 the budget lasts exactly 30 days; at 14.4 for an hour somebody is paged.",
    line=1.0,
)

BOARDS = (
    Board(
        "overview",
        "Tidemark: overview",
        (
            (
                "Now",
                (
                    Panel("Processes that answer", (Query('sum(up{job="tidemark"})'),), shown="value"),
                    Panel("Stages ready", (Query("sum(tidemark_stage_ready)"),), shown="value"),
                    Panel("APIs ready", (Query("sum(tidemark_api_ready)"),), shown="value"),
                    Panel("Alerts", (Query('count(ALERTS{alertstate="firing", severity!="none"}) or vector(0)'),), shown="value"),
                ),
            ),
            ("The way of a transaction", (_DECISIONS, _LATENCY, _LAG, _AGE)),
            ("The API", (_API_RATE, _API_LATENCY)),
            ("Objectives", (_BUDGET, _BURN)),
        ),
    ),
    Board(
        "stream",
        "Tidemark: stream",
        (
            ("Decisions", (_DECISIONS, _LATENCY)),
            (
                "Stages",
                (
                    Panel(
                        "Records taken a second",
                        (Query("sum by (stage) (rate(tidemark_stage_taken_records_total[$__rate_interval]))", "{{stage}}"),),
                        "ops",
                        "Of each stage's own topic: SCORE takes batches.",
                    ),
                    Panel("Turn", _quantiles("tidemark_stage_turn_seconds", "stage"), "s", "How long a stage takes over a turn."),
                    Panel("Busy", (Query("tidemark:stage_busy:ratio_rate1m", "{{stage}}"),), "percentunit", "Time in turns."),
                    _LAG,
                    Panel(
                        "Position",
                        (Query("sum by (stage) (rate(tidemark_stage_position[$__rate_interval]))", "{{stage}}"),),
                        "ops",
                        "Offsets a second.",
                    ),
                    Panel("End of the log", (Query("sum by (stage) (tidemark_stage_log_end)", "{{stage}}"),)),
                ),
            ),
            (
                "What was found",
                (
                    Panel(
                        "Late, repeated, refused a minute",
                        (Query("60 * sum by (stage, what) (rate(tidemark_stage_records_total[$__rate_interval]))", "{{stage}} {{what}}"),),
                    ),
                ),
            ),
            (
                "Online store",
                (
                    _AGE,
                    Panel(
                        "Snapshots a second",
                        (Query("sum by (stage) (rate(tidemark_online_flushes_total[$__rate_interval]))", "{{stage}}"),),
                        "ops",
                    ),
                ),
            ),
        ),
    ),
    Board(
        "model",
        "Tidemark: model",
        (
            (
                "Decisions of the API",
                (
                    Panel(
                        "By kind, a second",
                        (Query("sum by (decision) (rate(tidemark_api_decisions_total[$__rate_interval]))", "{{decision}}"),),
                        "ops",
                    ),
                    Panel(
                        "Without the online store, a second",
                        (Query("sum(rate(tidemark_api_degraded_total[$__rate_interval]))", "degraded"),),
                        "ops",
                        "Decided by the request alone.",
                    ),
                ),
            ),
            (
                "Audit",
                (
                    Panel("Audited a second", (Query("sum(rate(tidemark_audit_decisions_total[$__rate_interval]))", "decisions"),), "ops"),
                    Panel("Can't be reproduced", (Query("sum by (cause) (tidemark_audit_mismatches_total)", "{{cause}}"),)),
                    Panel("Audited up to", (Query("sum(tidemark_audit_offset)", "scoring-log"),), says="Offsets, all partitions."),
                ),
            ),
        ),
    ),
    Board(
        "api",
        "Tidemark: API",
        (
            ("Requests", (_API_RATE, _API_LATENCY)),
            (
                "Scoring",
                (
                    Panel(
                        "Within 100 ms",
                        (
                            Query(
                                'sum(rate(tidemark_api_request_seconds_bucket{route="/v1/score", le="0.1"}[$__rate_interval])) '
                                '/ sum(rate(tidemark_api_request_seconds_count{route="/v1/score"}[$__rate_interval]))',
                                "share",
                            ),
                        ),
                        "percentunit",
                    ),
                    Panel("Ready", (Query("tidemark_api_ready", "{{instance}}"),)),
                    Panel(
                        "Failures a second",
                        (Query('sum(rate(tidemark_api_requests_total{status=~"5.."}[$__rate_interval])) or vector(0)', "5xx"),),
                        "reqps",
                    ),
                ),
            ),
        ),
    ),
    Board(
        "infrastructure",
        "Tidemark: infrastructure",
        (
            (
                "Processes",
                (
                    Panel("Answers", (Query('up{job="tidemark"}', "{{process}} {{instance}}"),)),
                    Panel("Ready", (Query("tidemark_stage_ready", "{{stage}} {{instance}}"),)),
                    Panel(
                        "Cores in use",
                        (Query('rate(process_cpu_seconds_total{job="tidemark"}[$__rate_interval])', "{{process}} {{instance}}"),),
                    ),
                    Panel("Memory", (Query('process_resident_memory_bytes{job="tidemark"}', "{{process}} {{instance}}"),), "bytes"),
                    Panel("Open files", (Query('process_open_fds{job="tidemark"}', "{{process}} {{instance}}"),)),
                    Panel("Up since", (Query('time() - process_start_time_seconds{job="tidemark"}', "{{process}} {{instance}}"),), "s"),
                ),
            ),
            (
                "Watching",
                (
                    Panel("Scrape takes", (Query('scrape_duration_seconds{job="tidemark"}', "{{process}} {{instance}}"),), "s"),
                    Panel(
                        "Time series scraped",
                        (Query('scrape_samples_post_metric_relabeling{job="tidemark"}', "{{process}} {{instance}}"),),
                    ),
                ),
            ),
        ),
    ),
)
