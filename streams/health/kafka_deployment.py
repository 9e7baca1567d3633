"""All of it: what ``tidemark doctor`` says of the product, beside the services that it runs on."""

import time
from contextlib import closing

from features.errors import UserError
from models.registry import mlflow_registry
from streams.config import DeploymentConfig
from streams.health import feast_health, findings
from streams.health.findings import Finding
from streams.health.kafka_health import KafkaHealth
from streams.kafka.client import KafkaException


def examine(config: DeploymentConfig) -> list[Finding]:
    """Everything that can be looked at, in the order in which it is needed; what can't is a finding too."""
    ahead: dict[str, float] = {}
    try:
        with closing(KafkaHealth(config)) as kafka:
            found = kafka.examine()
            stamp = kafka.newest_stamp()
        if stamp is not None and stamp / 1_000 > time.time():
            ahead["Kafka"] = stamp / 1_000 - time.time()
        found += feast_health.examine(config) if config.online else []
    except KafkaException as error:
        found = [
            Finding("deployment", False, f"Kafka at {config.kafka} failed ({error.args[0].str()})", "see its log: `tidemark logs kafka`")
        ]
    except UserError as error:
        found = [Finding.of_error("deployment", error)]
    redis_ahead = feast_health.ahead_s(config) if config.online else None
    if redis_ahead is not None:
        ahead["Redis"] = redis_ahead
    return [*found, _champion(config), *findings.of_clocks(ahead)]


def _champion(config: DeploymentConfig) -> Finding:
    try:
        version = mlflow_registry.champion_version(config.mlflow)
    except Exception as error:  # whatever the registry's client may raise
        return Finding("champion", False, f"the registry can't be asked ({error})", "`tidemark up`; SCORE goes on with the one it has kept")
    if version is None:
        return Finding("champion", False, "none, so that nothing is decided", "`tidemark train` makes the first one")
    return Finding("champion", True, f"version {version}")
