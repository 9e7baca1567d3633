"""Every metric that a process of ours serves: one list, from which collectors, the page of metrics and its tests are made.

A name says, in this order: whose it is (``tidemark``), what it is about, what is measured, and the unit (seconds; records and other things
counted go by their plural, counters end in ``_total``).
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]
Process = Literal["stage", "api", "audit"]


@dataclass(frozen=True)
class Label:
    """A label and how many values of it one process may serve at most; what is beyond goes by OTHER."""

    name: str
    most: int
    says: str


OTHER = "other"
"""The value under which all are added up that would be too many."""


@dataclass(frozen=True)
class Metric:
    """``name`` as it is scraped, without a histogram's ``_bucket``, ``_sum`` and ``_count``. ``unit`` is seconds, or what is counted;
    ``bounds`` are a histogram's upper bounds, inclusive, in that unit, without the infinite one."""

    name: str
    kind: Kind
    unit: str
    says: str
    process: Process
    labels: tuple[Label, ...] = ()
    bounds: tuple[float, ...] = ()

    @property
    def label_names(self) -> list[str]:
        """In the order in which values are given."""
        return [label.name for label in self.labels]

    @property
    def most_series(self) -> int:
        """How many time series one process can make of it."""
        series = len(self.bounds) + 3 if self.kind == "histogram" else 1
        for label in self.labels:
            # Beside those allowed, OTHER.
            series *= label.most + 1
        return series


_STAGE = Label("stage", 1, "which stage's process it is")
_PARTITION = Label("partition", 256, "the partition of the topic that the stage reads")
_ROUTE = Label("route", 6, "the path, `other` for those that aren't the API's")
_STATUS = Label("status", 20, "HTTP's")

# The objectives' thresholds are bounds, so that a share below one is exact: `infra/slo/`.
DECISION_BOUNDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
API_BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 5.0)
TURN_BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

STAGE_RECORDS = Metric(
    "tidemark_stage_records_total",
    "counter",
    "records",
    "Records by what a stage found about them; begins anew with the process.",
    "stage",
    (_STAGE, Label("what", 80, "late, too_late, duplicates, refused.REASON, …")),
)
STAGE_READY = Metric(
    "tidemark_stage_ready", "gauge", "0 or 1", "Whether the stage can process records now: SCORE needs a model.", "stage", (_STAGE,)
)
STAGE_TURN = Metric(
    "tidemark_stage_turn_seconds",
    "histogram",
    "seconds",
    "How long a stage took over a turn: to process its records and hand what follows to the broker.",
    "stage",
    (_STAGE,),
    TURN_BOUNDS,
)
STAGE_TAKEN = Metric(
    "tidemark_stage_taken_records_total", "counter", "records", "Records that turns have taken from the stage's topic.", "stage", (_STAGE,)
)
STAGE_POSITION = Metric(
    "tidemark_stage_position",
    "gauge",
    "offset",
    "The next offset that the stage processes, of the partitions that this process owns.",
    "stage",
    (_STAGE, _PARTITION),
)
STAGE_LOG_END = Metric(
    "tidemark_stage_log_end",
    "gauge",
    "offset",
    "The end of what is committed in the partition, at most some seconds ago.",
    "stage",
    (_STAGE, _PARTITION),
)
STAGE_LAG = Metric(
    "tidemark_stage_lag_records",
    "gauge",
    "records",
    "How far the stage was behind that end, both looked up at one moment, at most some seconds ago.",
    "stage",
    (_STAGE, _PARTITION),
)
DECISION_SECONDS = Metric(
    "tidemark_decision_seconds",
    "histogram",
    "seconds",
    "From the broker's timestamp of a transaction until its decision was committed. Those of an aligned replay are left out.",
    "stage",
    (_STAGE,),
    DECISION_BOUNDS,
)
ONLINE_AGE = Metric(
    "tidemark_online_age_seconds",
    "gauge",
    "seconds",
    "How long the oldest change that the online store doesn't have yet has waited; 0 if it has all.",
    "stage",
    (_STAGE,),
)
ONLINE_FLUSHED = Metric(
    "tidemark_online_flushes_total", "counter", "snapshots", "Snapshots written to the online store whole.", "stage", (_STAGE,)
)
API_REQUESTS = Metric("tidemark_api_requests_total", "counter", "requests", "Requests answered, by status.", "api", (_ROUTE, _STATUS))
API_SECONDS = Metric("tidemark_api_request_seconds", "histogram", "seconds", "Time to answer a request.", "api", (_ROUTE,), API_BOUNDS)
API_DECISIONS = Metric(
    "tidemark_api_decisions_total", "counter", "decisions", "Decisions returned, by kind.", "api", (Label("decision", 3, "its kind"),)
)
API_DEGRADED = Metric("tidemark_api_degraded_total", "counter", "decisions", "Decisions returned while the online store failed.", "api")
API_READY = Metric("tidemark_api_ready", "gauge", "0 or 1", "Whether transactions can be scored, as `/readyz` says it.", "api")
AUDIT_DECISIONS = Metric("tidemark_audit_decisions_total", "counter", "decisions", "Decisions audited.", "audit")
AUDIT_MISMATCHES = Metric(
    "tidemark_audit_mismatches_total", "counter", "mismatches", "What can't be reproduced.", "audit", (Label("cause", 40, "why"),)
)
AUDIT_OFFSET = Metric(
    "tidemark_audit_offset", "gauge", "offset", "The next offset of scoring-log to audit: all before it is audited.", "audit", (_PARTITION,)
)

METRICS = (
    STAGE_RECORDS,
    STAGE_READY,
    STAGE_TURN,
    STAGE_TAKEN,
    STAGE_POSITION,
    STAGE_LOG_END,
    STAGE_LAG,
    DECISION_SECONDS,
    ONLINE_AGE,
    ONLINE_FLUSHED,
    API_REQUESTS,
    API_SECONDS,
    API_DECISIONS,
    API_DEGRADED,
    API_READY,
    AUDIT_DECISIONS,
    AUDIT_MISMATCHES,
    AUDIT_OFFSET,
)
"""All of them, by process."""


def table() -> str:
    """The table of docs/metrics.md."""
    lines = ["| metric | kind, unit | labels | says |", "|---|---|---|---|"]
    for process in ("stage", "api", "audit"):
        lines.append(f"| **{_SERVED_BY[process]}** | | | |")
        for metric in METRICS:
            if metric.process == process:
                labels = ", ".join(f"`{label.name}`" for label in metric.labels)
                lines.append(f"| `{metric.name}` | {metric.kind}, {metric.unit} | {labels} | {metric.says} |")
    return "\n".join(lines)


_SERVED_BY = {
    "stage": "a stage (`tidemark worker --metrics`)",
    "api": "the API (`/metrics`)",
    "audit": "a following audit (`--metrics-port`)",
}
