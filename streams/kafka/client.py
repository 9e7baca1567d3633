"""The one place that builds Kafka clients: whatever speaks to a broker gets its servers, its security and its name from here.

Modules outside ``streams/kafka`` also take librdkafka's own words (a message, an error, a delivery report's types) from here, so that
nothing else depends on the library.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from streams.config import DeploymentConfig
from streams.kafka.security import aiokafka_options, java_options

__all__ = ["TIMESTAMP_LOG_APPEND_TIME", "Consumer", "KafkaClients", "KafkaError", "KafkaException", "Message", "Producer", "TopicPartition"]


@dataclass(frozen=True)
class KafkaClients:
    """Builds the clients of one cluster.

    ``servers`` is host:port[,host:port…]; ``security`` are librdkafka's properties as ``streams/kafka/security.py`` checks them, empty for
    a broker without; ``client_id`` is the name that the broker's logs and quotas know us by. Nothing here prints ``security``.
    """

    servers: str
    security: Mapping[str, str] = field(default_factory=dict, repr=False)
    client_id: str = "tidemark"

    @classmethod
    def of(cls, config: DeploymentConfig) -> "KafkaClients":
        """Those of a deployment."""
        return cls(config.kafka, config.kafka_security, config.application)

    def producer(self, settings: Mapping[str, Any]) -> Producer:
        """A librdkafka producer with these settings of its own."""
        return Producer({**settings, **self._librdkafka()})

    def consumer(self, settings: Mapping[str, Any]) -> Consumer:
        """A librdkafka consumer with these settings of its own."""
        return Consumer({**settings, **self._librdkafka()})

    def admin(self, settings: Mapping[str, Any] | None = None, logger: logging.Logger | None = None) -> AdminClient:
        """A librdkafka admin client. ``logger``, if given, takes what it would write to stderr."""
        options = {**(settings or {}), **self._librdkafka()}
        return AdminClient(options) if logger is None else AdminClient(options, logger=logger)

    def spark_options(self) -> dict[str, str]:
        """The options of Spark's Kafka source and sink. They hold secrets: give them to a reader, never to a session's settings."""
        options = {**self._address(), **java_options(self.security)}
        return {f"kafka.{name}": value for name, value in options.items()}

    def aiokafka_options(self) -> dict[str, Any]:
        """The keywords by which aiokafka's clients connect, Faust's among them."""
        return {"bootstrap_servers": self.servers, "client_id": self.client_id, **aiokafka_options(self.security)}

    def _librdkafka(self) -> dict[str, str]:
        return {**self._address(), **self.security}

    def _address(self) -> dict[str, str]:
        return {"bootstrap.servers": self.servers, "client.id": self.client_id}
