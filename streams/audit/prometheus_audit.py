"""What a following audit reports to Prometheus."""

from collections import Counter

from prometheus_client import REGISTRY, CollectorRegistry, start_http_server

from streams.audit.causes import CAUSES
from streams.audit.kafka_audit import KafkaAudit
from streams.metrics import catalogue
from streams.metrics import prometheus_collectors as collectors


class AuditMetrics:
    """The catalogue's metrics of an audit."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._decisions = collectors.counter(catalogue.AUDIT_DECISIONS, registry)
        self._mismatches = collectors.counter(catalogue.AUDIT_MISMATCHES, registry)
        self._offset = collectors.gauge(catalogue.AUDIT_OFFSET, registry)
        self._counted = 0
        self._counted_causes: Counter[str] = Counter()
        for cause in CAUSES:
            self._mismatches.labels(cause)

    def serve(self, port: int) -> None:
        """Answers Prometheus on this port of this machine."""
        start_http_server(port, addr="127.0.0.1")

    def update(self, audit: KafkaAudit, in_store: Counter[str]) -> None:
        """Brings the figures to where the audit, and that of the online store, stand."""
        audited = audit.auditor.audit.tally.audited
        self._decisions.inc(audited - self._counted)
        causes: Counter[str] = Counter({cause or "unknown": count for cause, count in audit.auditor.findings.causes.items()})
        causes += in_store + Counter({str(cause): count for cause, count in audit.completeness.causes.items()})
        for cause, count in (causes - self._counted_causes).items():
            self._mismatches.labels(cause).inc(count)
        self._counted, self._counted_causes = audited, causes
        for partition, offset in audit.positions.items():
            self._offset.labels(str(partition)).set(offset)
