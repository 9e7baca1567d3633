"""An auditor of the deployment, as both commands use it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from features.errors import UserError
from streams.audit.kafka_audit import KafkaAudit
from streams.config import DeploymentConfig
from streams.kafka.client import KafkaException


@contextmanager
def auditing(config: DeploymentConfig, *arguments: Any) -> Iterator[KafkaAudit]:
    """An auditor. Raises UserError if Kafka fails meanwhile, for that is no mismatch."""
    try:
        with closing(KafkaAudit(config, *arguments)) as running:
            yield running
    except KafkaException as error:
        raise UserError(f"Kafka at {config.kafka} failed ({error.args[0].str()}); see `tidemark doctor`, then audit again") from error
