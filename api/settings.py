"""The deployment, for every command and the API: resolved once, here, from the environment and from what `tidemark up` has recorded."""

import os
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from api import pending_reset
from api.answer_key import answer_key
from api.deployment import Facts, recorded_facts, variable
from features.errors import UserError
from infra.local import deployment_file, mlflow, ports, services
from infra.local import kafka as kafka_broker
from infra.local import redis as redis_server
from infra.local.service import Service
from streams.config import DeploymentConfig
from streams.kafka.security import read_security
from streams.messages.seal import Seal

if TYPE_CHECKING:
    from streams.kafka.client import KafkaClients

# Running stages and the API go on without these, so they start without them too.
DISPENSABLE = (redis_server.SERVICE, mlflow.SERVICE)
_REGISTRY_S = 3.0
SECURITY_VARIABLE = "TIDEMARK_KAFKA_SECURITY"


@dataclass(frozen=True)
class Settings:
    """Addresses of the services, and the deployment's facts. `kafka` and `redis` are empty only where services were not required and none
    are known."""

    home: Path  # absolute
    kafka: str  # host:port[,host:port…]
    redis: str  # redis://host:port/db
    mlflow: str  # tracking URI
    feast_repo: Path  # absolute
    facts: Facts
    kafka_security: dict[str, str] = field(default_factory=dict, repr=False)  # as streams/kafka/security.py has checked it

    def require_kafka(self) -> "KafkaClients":
        """What builds clients of the deployment's Kafka. Raises UserError if none is known."""
        from streams.kafka.client import KafkaClients  # commands that need none don't wait for librdkafka

        if not self.kafka:
            raise UserError("Kafka is not running; start it with `tidemark up`, or name one in TIDEMARK_KAFKA")
        return KafkaClients(self.kafka, self.kafka_security)

    def registry(self) -> str:
        """The tracking URI, where there is a server one that answers. Raises UserError otherwise, at once: MLflow itself tries for long."""
        if "://" not in self.mlflow and not self.mlflow.startswith("databricks"):
            raise UserError(f"{self.mlflow or 'nothing'} is no address of a registry; write it as http://host:5000 in TIDEMARK_MLFLOW")
        if not mlflow.answers(self.mlflow, _REGISTRY_S):
            raise UserError(f"the registry at {self.mlflow} doesn't answer; see `tidemark doctor`, and start or name it")
        return self.mlflow

    def stream_config(self, features: str | None = None, online: bool = True, metrics: str = "") -> DeploymentConfig:
        """What workers and API need to know of this deployment, or of what it would be with other ``features``.

        Raises UserError for an unknown feature set, for metrics that are not host:port, or where the environment's
        currency isn't the one that is recorded, in which there are transactions already.
        """
        recorded = recorded_facts(self.home).get("currency", self.facts.currency)
        if self.facts.currency != recorded:
            name = variable("currency")
            raise UserError(
                f"{name}={self.facts.currency} contradicts {deployment_file.path(self.home)}: this deployment settles in {recorded}, "
                f"and its transactions would be refused; unset {name}, or use another TIDEMARK_HOME"
            )
        require_address(metrics)
        return DeploymentConfig(
            kafka=self.kafka,
            kafka_security=self.kafka_security,
            redis=self.redis,
            mlflow=self.mlflow,
            feast_repo=str(self.feast_repo),
            features=Facts.resolve(self.home, features).features if features else self.facts.features,
            currency=self.facts.currency,
            online=online,
            metrics=metrics,
            answer_key=answer_key(self.home),
            home=str(self.home),
        )

    def agreed_config(self, features: str | None = None, online: bool = True, metrics: str = "") -> DeploymentConfig:
        """As ``stream_config``, once the deployment's record in Kafka says the same; it needn't of ``features`` that are given here.

        Raises UserError if it says something else, or nothing.
        """
        config = self.stream_config(features, online, metrics)
        self._require_agreement(None if features else config.features)
        return config

    def agreed_kafka(self) -> "KafkaClients":
        """As ``require_kafka``, once the deployment's record there says what this configuration does. Raises UserError otherwise."""
        kafka = self.require_kafka()
        self.stream_config()  # which refuses a currency that contradicts the home's
        self._require_agreement(self.facts.features)
        return kafka

    def _require_agreement(self, features: str | None) -> None:
        from streams.control import kafka_facts

        kafka_facts.require(self.require_kafka(), Seal(answer_key(self.home)), self.facts.currency, features)

    @classmethod
    def resolve(cls, require_services: bool, may_be_away: Collection[Service] = (), *, resetting: bool = False) -> "Settings":
        """TIDEMARK_KAFKA, TIDEMARK_REDIS, TIDEMARK_MLFLOW, TIDEMARK_FEATURES and TIDEMARK_CURRENCY, else what `tidemark up` recorded in
        TIDEMARK_HOME.

        Without a running MLflow server its SQLite store under TIDEMARK_HOME serves directly, unless services are required. Of these some
        ``may_be_away``: what goes on without them needn't wait for them to start.
        Raises UserError if they are required and one is not there or takes no connection, if a fact can't be one, or if a reset was broken
        off (unless this is one, ``resetting``); ServiceError if the home's file can't be used.
        """
        home = services.home_from_environment()
        if not resetting:
            pending_reset.require_none(home)
        facts = Facts.resolve(home)
        known = services.addresses(home)
        kafka, redis, tracking = (known.get(name, "") for name in ("kafka", "redis", "mlflow"))
        if require_services:
            for service, address in ((kafka_broker.SERVICE, kafka), (redis_server.SERVICE, redis), (mlflow.SERVICE, tracking)):
                if not (address and service in may_be_away):
                    _require(service, home, address)
        elif services.outside(mlflow.SERVICE, home) is None and not services.is_running(mlflow.SERVICE, home):
            services.make_home(home)
            tracking = mlflow.database(home)
        return cls(home, kafka, redis, tracking, services.feast_repo(home), facts, kafka_security(home))


def require_address(metrics: str) -> None:
    """Raises UserError if ``--metrics`` is given and not host:port."""
    if metrics and not re.fullmatch(r"[^:]+:\d{1,5}", metrics):
        raise UserError(f"--metrics {metrics} is not an address; write it as 127.0.0.1:9100")


def kafka_security(home: Path) -> dict[str, str]:
    """The properties of the file that TIDEMARK_KAFKA_SECURITY names, else the one that `up` has recorded; none if there is none.

    They are for a Kafka elsewhere only. Raises UserError if they can't be used.
    """
    file = os.environ.get(SECURITY_VARIABLE) or deployment_file.read(home).get("kafka_security")
    if not file:
        return {}
    if services.outside(kafka_broker.SERVICE, home) is None:
        if not os.environ.get(SECURITY_VARIABLE):
            return {}
        raise UserError(f"{SECURITY_VARIABLE} is set, but the embedded Kafka has neither TLS nor SASL; name yours in TIDEMARK_KAFKA")
    return read_security(Path(file).expanduser())


def _require(service: Service, home: Path, address: str) -> None:
    """After a hard kill another home's service may have our port: of our own, the process itself must be there."""
    if services.outside(service, home) is None and not (address and services.is_running(service, home)):
        raise UserError(f"{service.title} is not running for {home}; start the services with `tidemark up`")
    if not _accepts(address):
        raise UserError(f"{service.title} at {address} takes no connection; `tidemark doctor` says what to do")


def _accepts(address: str) -> bool:
    """Whether a host of `host:port,…` or of a URL takes a TCP connection; an address without one (SQLite's) has nothing to ask."""
    for part in address.split(","):
        url = urlsplit(part if "://" in part else f"kafka://{part}")
        usual = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379}.get(url.scheme, 9092)
        if not url.hostname or ports.accepts(url.hostname, url.port or usual):
            return True
    return False
