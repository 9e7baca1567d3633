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
from streams.kafka.repeated_log import LeaveOutRepeated
from streams.kafka.security import aiokafka_options, java_options

__all__ = ["TIMESTAMP_LOG_APPEND_TIME", "Consumer", "KafkaClients", "KafkaError", "KafkaException", "Message", "Producer", "TopicPartition"]

# What librdkafka would write to stderr by itself, a line an attempt, hundreds a second while a broker is away.
_words = logging.getLogger("streams.kafka.librdkafka")
_words.addFilter(LeaveOutRepeated(_words.name))

# A broker that is back is noticed within a second; by default it may take ten.
_AT_ONCE = {"reconnect.backoff.max.ms": 1_000}


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
        return Producer({**_AT_ONCE, **settings, **self._librdkafka(), "logger": _words})

    def consumer(self, settings: Mapping[str, Any]) -> Consumer:
        """A librdkafka consumer with these settings of its own."""
        return Consumer({**_AT_ONCE, **settings, **self._librdkafka(), "logger": _words})

    def admin(self, settings: Mapping[str, Any] | None = None, logger: logging.Logger = _words) -> AdminClient:
        """A librdkafka admin client. ``logger`` takes what it would write to stderr."""
        return AdminClient({**_AT_ONCE, **(settings or {}), **self._librdkafka()}, logger=logger)

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
