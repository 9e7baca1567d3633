"""An auditor of the deployment, as both commands use it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from api.cli.kafka_failures import kafka_failures_in_words
from streams.audit.kafka_audit import KafkaAudit
from streams.config import DeploymentConfig


@contextmanager
def auditing(config: DeploymentConfig, *arguments: Any) -> Iterator[KafkaAudit]:
    """An auditor. Raises UserError if Kafka fails meanwhile, for that is no mismatch."""
    with kafka_failures_in_words(config.kafka, "audit again"), closing(KafkaAudit(config, *arguments)) as running:
        yield running
