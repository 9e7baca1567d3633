"""Where the services are, for every command and the API: resolved once, here, from the environment and from what `tidemark up` wrote."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, get_args
from urllib.parse import urlsplit

from features.definitions import FEATURE_SETS
from features.errors import UserError
from features.offline.storage import Storage
from infra.local import kafka as kafka_broker
from infra.local import mlflow, ports, services
from infra.local import redis as redis_server
from infra.local.service import Service
from streams.config import Delivery, DeploymentConfig

if TYPE_CHECKING:
    from streams.kafka.client import KafkaClients


@dataclass(frozen=True)
class Settings:
    """Addresses of the services. `kafka` and `redis` are empty only where services were not required and none are known."""

    home: Path  # absolute
    kafka: str  # host:port[,host:port…]
    redis: str  # redis://host:port/db
    mlflow: str  # tracking URI
    feast_repo: Path  # absolute
    kafka_security: dict[str, str] = field(default_factory=dict, repr=False)  # as streams/kafka/security.py has checked it

    @property
    def mlflow_artifact_root(self) -> str:
        """Where new MLflow experiments of an embedded store keep their artifacts; the server does so by itself, SQLite must be told."""
        return mlflow.artifact_root(self.home)

    def require_kafka(self) -> "KafkaClients":
        """What builds clients of the deployment's Kafka. Raises UserError if none is known."""
        from streams.kafka.client import KafkaClients  # commands that need none don't wait for librdkafka

        if not self.kafka:
            raise UserError("Kafka is not running; start it with `tidemark up`, or name one in TIDEMARK_KAFKA")
        return KafkaClients(self.kafka, self.kafka_security)

    def stream_config(
        self, features: str = "fraud_v1", currency: str = "EUR", delivery: str = "exactly_once", online: bool = True, metrics: str = ""
    ) -> DeploymentConfig:
        """What the workers and the API are told of this deployment. Raises UserError for an unknown feature set or delivery, or for
        metrics that are no host:port."""
        if features not in FEATURE_SETS:
            raise UserError(f"there is no feature set {features!r}; choose from {', '.join(FEATURE_SETS)}")
        chosen = next((known for known in get_args(Delivery) if known == delivery), None)
        if chosen is None:
            raise UserError(f"there is no delivery {delivery!r}; choose from {', '.join(get_args(Delivery))}")
        if metrics and not re.fullmatch(r"[^:]+:\d{1,5}", metrics):
            raise UserError(f"--metrics {metrics} is no address; write it as 127.0.0.1:9100")
        return DeploymentConfig(
            kafka=self.kafka,
            redis=self.redis,
            mlflow=self.mlflow,
            feast_repo=str(self.feast_repo),
            features=features,
            currency=currency,
            delivery=chosen,
            online=online,
            metrics=metrics,
            kafka_security=self.kafka_security,
        )

    @classmethod
    def resolve(cls, require_services: bool) -> "Settings":
        """TIDEMARK_KAFKA, TIDEMARK_REDIS and TIDEMARK_MLFLOW, else what `tidemark up` left in TIDEMARK_HOME.

        Without a running MLflow server its SQLite store under TIDEMARK_HOME serves directly, unless services are required.
        Raises UserError if they are required and one is not there or takes no connection.
        """
        home = services.home_from_environment()
        left = services.read_endpoints(home)
        kafka = os.environ.get("TIDEMARK_KAFKA") or (left.kafka if left else "")
        redis = os.environ.get("TIDEMARK_REDIS") or (left.redis if left else "")
        tracking = os.environ.get("TIDEMARK_MLFLOW") or (left.mlflow if left else "")
        if require_services:
            for service, address in ((kafka_broker.SERVICE, kafka), (redis_server.SERVICE, redis), (mlflow.SERVICE, tracking)):
                _require(service, home, address)
        elif services.outside(mlflow.SERVICE) is None and not services.is_running(mlflow.SERVICE, home):
            home.mkdir(parents=True, exist_ok=True)
            tracking = mlflow.database(home)
        return cls(home, kafka, redis, tracking, services.feast_repo(home), kafka_security())


def kafka_security() -> dict[str, str]:
    """The properties of the file that TIDEMARK_KAFKA_SECURITY names; none if it names none. They are for a Kafka elsewhere only.

    Raises UserError if they can't be used.
    """
    file = os.environ.get("TIDEMARK_KAFKA_SECURITY")
    if not file:
        return {}
    if services.outside(kafka_broker.SERVICE) is None:
        raise UserError("TIDEMARK_KAFKA_SECURITY is set, but the embedded Kafka has neither TLS nor SASL; name yours in TIDEMARK_KAFKA")
    from streams.kafka.security import read_security

    return read_security(Path(file).expanduser())


def offline_store(home: Path, chosen: str | None = None) -> Storage:
    """The one ``chosen`` (--store), else that of TIDEMARK_OFFLINE, else the home's folder. Raises UserError if it can't be one."""
    return Storage.of(chosen or os.environ.get("TIDEMARK_OFFLINE") or home / "offline")


def _require(service: Service, home: Path, address: str) -> None:
    """After a hard kill another home's service may have our port: of our own, the process itself must be there."""
    if services.outside(service) is None and not (address and services.is_running(service, home)):
        raise UserError(f"{service.title} is not running for {home}; start the services with `tidemark up`")
    if not _accepts(address):
        raise UserError(f"{service.title} at {address} takes no connection; see `tidemark doctor` for the mend")


def _accepts(address: str) -> bool:
    """Whether a host of `host:port,…` or of a URL takes a TCP connection; an address without one (SQLite's) has nothing to ask."""
    for part in address.split(","):
        url = urlsplit(part if "://" in part else f"kafka://{part}")
        usual = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379}.get(url.scheme, 9092)
        if not url.hostname or ports.accepts(url.hostname, url.port or usual):
            return True
    return False
